//! product
mod html; mod input; mod model; mod prices; mod shopify; mod slug; mod terms;
