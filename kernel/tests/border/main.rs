//! The SQL border from outside: what it accepts and refuses, whether both engines run what it prints, and whether a
//! sliced statement does what the plain one would do to a store that is alone in its database.

mod both;
mod engines;
mod fixtures;
mod generator;
mod migrations;
mod oracle;
mod shop;
mod survival;
