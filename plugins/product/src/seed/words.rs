//! What the demonstration's products are called and made of.

/// Something the shop sells.
pub struct Kind {
    pub name: &'static str,
    pub category: &'static str,
    /// A shape that [`crate::pictures`] draws.
    pub shape: &'static str,
    /// Its SKUs begin with it.
    pub code: &'static str,
    pub tag: &'static str,
    pub price_usd_cents: i64,
    pub weight_g: i64,
    /// Comes in sizes, not in colours.
    pub sized: bool,
    pub story: &'static str,
    pub care: &'static str,
}

/// (slug, title, slug of the category above)
pub const CATEGORIES: &[(&str, &str, Option<&str>)] = &[
    ("kitchen", "Kitchen", None),
    ("coffee-and-tea", "Coffee & Tea", Some("kitchen")),
    ("tableware", "Tableware", Some("kitchen")),
    ("pantry", "Pantry", Some("kitchen")),
    ("home", "Home", None),
    ("light", "Light", Some("home")),
    ("storage", "Storage", Some("home")),
    ("textiles", "Textiles", Some("home")),
    ("wardrobe", "Wardrobe", None),
    ("shirts", "Shirts", Some("wardrobe")),
    ("bags", "Bags", Some("wardrobe")),
    ("paper", "Paper", None),
];

macro_rules! kind {
    ($name:literal, $category:literal, $shape:literal, $code:literal, $tag:literal, $cents:literal, $grams:literal, $sized:literal,
        $story:literal, $care:literal) => {
        Kind {
            name: $name,
            category: $category,
            shape: $shape,
            code: $code,
            tag: $tag,
            price_usd_cents: $cents,
            weight_g: $grams,
            sized: $sized,
            story: $story,
            care: $care,
        }
    };
}

pub const KINDS: &[Kind] = &[
    kind!(
        "Coffee Beans",
        "coffee-and-tea",
        "packet",
        "COF",
        "single origin",
        1250,
        260,
        true,
        "Picked when ripe and roasted in small drums the week they are sent.",
        "Best within six weeks of roasting"
    ),
    kind!(
        "Tumbler",
        "coffee-and-tea",
        "bottle",
        "TUM",
        "on the way",
        2200,
        320,
        false,
        "Keeps a morning's coffee warm until noon.",
        "Hand wash; the lid may go into the machine"
    ),
    kind!(
        "Mug",
        "tableware",
        "mug",
        "MUG",
        "ceramic",
        1400,
        380,
        false,
        "Thrown on the wheel, so that no two are quite alike.",
        "Dishwasher safe"
    ),
    kind!(
        "Bowl",
        "tableware",
        "bowl",
        "BWL",
        "ceramic",
        1800,
        520,
        false,
        "For soup, for rice, and for the fruit that is left over.",
        "Dishwasher and microwave safe"
    ),
    kind!(
        "Chilli Sauce",
        "pantry",
        "bottle",
        "SAM",
        "hot",
        650,
        310,
        true,
        "Slowly cooked with shallots and a little palm sugar.",
        "Keep cool once opened"
    ),
    kind!(
        "Loose Tea",
        "coffee-and-tea",
        "packet",
        "TEA",
        "garden",
        900,
        120,
        true,
        "Two leaves and a bud, dried in the shade.",
        "Three minutes at 80 degrees"
    ),
    kind!(
        "Table Lamp",
        "light",
        "lamp",
        "LMP",
        "warm light",
        5400,
        1450,
        false,
        "A soft light for a desk or a bedside.",
        "Takes an E27 bulb of at most 40 W"
    ),
    kind!(
        "Candle",
        "light",
        "candle",
        "CDL",
        "scented",
        1600,
        340,
        false,
        "Coconut wax that burns for forty hours.",
        "Trim the wick before you light it"
    ),
    kind!(
        "Basket",
        "storage",
        "basket",
        "BSK",
        "woven",
        2900,
        640,
        true,
        "Woven from rattan that grows again within seven years.",
        "Wipe with a dry cloth"
    ),
    kind!(
        "Keepsake Box",
        "storage",
        "box",
        "BOX",
        "wood",
        2400,
        720,
        true,
        "Dovetailed from wood that was left over from furniture.",
        "Oil it once a year"
    ),
    kind!(
        "Table Cloth",
        "textiles",
        "cloth",
        "CLT",
        "woven",
        3900,
        560,
        false,
        "Woven on a hand loom, two metres a day.",
        "Wash cold, iron damp"
    ),
    kind!(
        "Batik Shirt",
        "shirts",
        "shirt",
        "SHT",
        "batik",
        4800,
        240,
        true,
        "Drawn in wax, dyed three times.",
        "Wash by hand with mild soap"
    ),
    kind!(
        "Tote",
        "bags",
        "bag",
        "TOT",
        "everyday",
        2600,
        410,
        false,
        "Canvas that carries a week's market.",
        "Spot clean only"
    ),
    kind!(
        "Notebook",
        "paper",
        "notebook",
        "NTB",
        "paper",
        1100,
        280,
        false,
        "Sewn by hand, so that it lies flat where you open it.",
        "160 pages of recycled paper"
    ),
];

/// 24; their number and that of the origins decide after how many products a title comes again.
pub const QUALITIES: &[&str] = &[
    "Handmade", "Classic", "Quiet", "Bright", "Little", "Everyday", "Sunday", "Village", "Harbour", "Mountain",
    "Garden", "Morning", "Evening", "Monsoon", "Coral", "Indigo", "Amber", "Clove", "Pandan", "Ginger", "Sand", "Palm",
    "Cloud", "River",
];

/// 25
pub const ORIGINS: &[&str] = &[
    "Bandung",
    "Ubud",
    "Toraja",
    "Gayo",
    "Yogyakarta",
    "Solo",
    "Lombok",
    "Flores",
    "Malang",
    "Bogor",
    "Cirebon",
    "Pekalongan",
    "Garut",
    "Jepara",
    "Sumba",
    "Ambon",
    "Makassar",
    "Padang",
    "Medan",
    "Manado",
    "Kintamani",
    "Wamena",
    "Semarang",
    "Kudus",
    "Madura",
];

pub const MAKERS: &[&str] = &[
    "Ibu Sari",
    "Pak Wayan",
    "Studio Kali",
    "Dua Tangan",
    "Rumah Rotan",
    "Kebun Atas",
    "Tenun Ikat Bersama",
    "Bengkel Kayu",
    "Satu Meja",
    "Laut Selatan",
];

pub const COLORS: &[&str] = &[
    "Natural",
    "White",
    "Indigo",
    "Terracotta",
    "Moss",
    "Charcoal",
    "Mustard",
];

pub const SIZES: &[&str] = &["Small", "Medium", "Large"];
