//! Pictures of the demonstration's products, drawn by rule: the same name is the same picture for ever.

use commerce_sdk::prelude::*;

/// What can be drawn: an outline within 400 by 400, in front of a round shadow.
const SHAPES: &[(&str, &str)] = &[
    (
        "bag",
        "M120 150 h160 l20 170 h-200 z M160 150 c0 -70 80 -70 80 0 h-16 c0 -46 -48 -46 -48 0 z",
    ),
    (
        "basket",
        "M90 180 h220 l-26 140 h-168 z M120 180 c0 -110 160 -110 160 0 h-14 c0 -88 -132 -88 -132 0 z",
    ),
    (
        "bottle",
        "M175 70 h50 v60 c34 22 40 40 40 80 v130 h-130 v-130 c0 -40 6 -58 40 -80 z",
    ),
    (
        "bowl",
        "M80 190 h240 c0 90 -60 130 -90 135 v15 h-60 v-15 c-30 -5 -90 -45 -90 -135 z",
    ),
    (
        "box",
        "M90 150 l110 -50 l110 50 v130 l-110 60 l-110 -60 z M200 210 l110 -60 M200 210 l-110 -60 M200 210 v130",
    ),
    (
        "candle",
        "M150 170 h100 v160 h-100 z M200 90 c24 30 24 54 0 66 c-24 -12 -24 -36 0 -66 z",
    ),
    (
        "cloth",
        "M90 110 h220 v180 l-20 -12 l-20 12 l-20 -12 l-20 12 l-20 -12 l-20 12 l-20 -12 l-20 12 l-20 -12 l-20 12 l-20 -12 z",
    ),
    (
        "lamp",
        "M140 100 h120 l40 110 h-200 z M192 210 h16 v90 h50 v24 h-116 v-24 h50 z",
    ),
    (
        "mug",
        "M110 130 h150 v40 h30 c50 0 50 100 0 100 h-34 c-10 40 -20 50 -40 50 h-66 c-30 0 -40 -30 -40 -80 z M260 195 h26 c22 0 22 50 0 50 h-26 z",
    ),
    (
        "notebook",
        "M120 90 h160 v230 h-160 z M140 90 v230 M165 140 h90 M165 165 h90",
    ),
    (
        "packet",
        "M130 110 l14 -18 h112 l14 18 v200 l-14 16 h-112 l-14 -16 z M155 170 h90 v80 h-90 z",
    ),
    (
        "shirt",
        "M140 100 l60 30 l60 -30 l70 50 l-34 46 l-26 -16 v140 h-140 v-140 l-26 16 l-34 -46 z",
    ),
];

/// Draws `mug-210.svg`: a shape and a hue
#[get("/api/product-images/{name}", access = public, cacheable, operation = "picture", problems(404 = "unknown_picture"))]
pub fn draw(Path(name): Path<String>) -> Result<With<Response>, Problem> {
    let svg =
        drawing(&name).ok_or_else(|| Problem::not_found("unknown_picture", "There is no picture of this name."))?;
    // Nothing drops it: it never changes.
    Ok(Response::new(200).body("image/svg+xml", svg).cached(31_536_000, &[]))
}

/// Where the picture of a shape is.
pub fn url(shape: &str, hue: u64) -> String {
    format!("/api/product-images/{shape}-{}.svg", hue % 360)
}

fn drawing(name: &str) -> Option<String> {
    let (shape, hue) = name.strip_suffix(".svg")?.split_once('-')?;
    let (_, outline) = SHAPES.iter().find(|(known, _)| *known == shape)?;
    let hue: u32 = hue.parse().ok().filter(|hue| *hue < 360)?;
    let ground = (hue + 40) % 360;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 400\" role=\"img\" aria-label=\"{shape}\">\
         <rect width=\"400\" height=\"400\" fill=\"hsl({ground} 40% 92%)\"/>\
         <ellipse cx=\"200\" cy=\"338\" rx=\"120\" ry=\"16\" fill=\"hsl({ground} 25% 80%)\"/>\
         <path d=\"{outline}\" fill=\"hsl({hue} 55% 52%)\" stroke=\"hsl({hue} 60% 30%)\" stroke-width=\"6\" \
         stroke-linejoin=\"round\" fill-rule=\"evenodd\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_always_the_same_picture() {
        let mug = drawing("mug-210.svg").expect("a mug can be drawn");
        assert!(mug.starts_with("<svg") && mug.contains("hsl(210 "));
        assert_eq!(drawing("mug-210.svg"), Some(mug));
        assert!(
            SHAPES
                .iter()
                .all(|(shape, _)| drawing(url(shape, 725).rsplit('/').next().unwrap_or_default()).is_some())
        );
    }

    #[test]
    fn nothing_of_a_name_reaches_the_drawing() {
        for name in [
            "",
            "mug",
            "mug-.svg",
            "mug-360.svg",
            "cat-1.svg",
            "mug-1\"/><script>.svg",
            "../mug-1.svg",
        ] {
            assert_eq!(drawing(name), None, "{name}");
        }
    }
}
