//! The catalogue and its stock: products with their variants, prices, categories and tags, how many there are, and the
//! pages that shoppers browse.
//!
//! # The map
//!
//! | module | what it owns |
//! |---|---|
//! | [`model`], [`input`], [`shopify`] | the catalogue as values: what staff and files say, checked and sanitised; no database |
//! | [`load`], [`save`] | the same values from and to the tables |
//! | [`products`], [`bulk`], [`categories`] | routes of the catalogue |
//! | [`listing`], [`shelves`], [`terms`] | pages of products, and what they walk |
//! | [`stock`] | how many there are: routes, ledger, and the functions that sales call |
//! | [`functions`] | what else other plugins may ask |
//! | [`importing`], [`seed`], [`pictures`] | files, and the demonstration with its drawings |
//! | [`announce`] | events and stale answers |
//! | [`answers`], [`html`], [`prices`], [`slug`] | shapes and small rules that several of them need |
//!
//! A variant's row in `stock` is written by [`stock`] alone once it exists; `shelves` and `search_terms` are derived in
//! the unit of work that changes what they are derived from. Carts read prices and stock through the view `sellable`
//! (`plugin.toml`), never by asking for a product.

mod announce;
mod answers;
mod bulk;
mod categories;
mod functions;
mod html;
mod importing;
mod input;
mod listing;
mod load;
mod model;
mod pictures;
mod prices;
mod products;
mod save;
mod seed;
mod shelves;
mod shopify;
mod slug;
mod stock;
mod terms;

commerce_sdk::plugin! {
    routes: [
        listing::list, products::show, listing::list_for_staff, products::show_for_staff,
        products::create, products::change, products::remove, bulk::upsert,
        products::add_variant, products::change_variant, products::remove_variant,
        stock::adjust, stock::ledger,
        categories::list, categories::show, categories::create, categories::change, categories::remove,
        pictures::draw,
    ],
    functions: [
        stock::reserve, stock::commit, stock::release, stock::restock,
        functions::get_products, functions::extend,
    ],
    publishes: { "changed": announce::ProductChanged, "stock_changed": announce::StockChanged },
    imports: { "products": { "shopify": importing::import_shopify } },
    seed: { "products": seed::seed },
    permissions: {
        "product.read": "See products in every state, and the stock ledger",
        "product.write": "Change products, categories and stock",
    },
}
