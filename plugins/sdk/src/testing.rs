//! For a plugin's own tests, which run outside of the sandbox. Capabilities are not there (a call of one panics), the
//! clock and the log excepted; domain code needs none.

use commerce_contract::Descriptor;

use crate::exports::{self, Plugin};

/// What `plugin!` made of the crate: `testing::describe::<ThePlugin>()`.
pub fn describe<P: Plugin>() -> Descriptor {
    exports::descriptor::<P>()
}
