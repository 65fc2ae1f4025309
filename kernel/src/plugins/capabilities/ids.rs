//! `ids`: TypeIDs and randomness, without a grant.

use rand::TryRng as _;
use wasmtime::bail;

use super::super::bindings::imports::ids::Host;
use super::super::instance::CallState;
use super::super::names;
use crate::typeid;

const MAX_RANDOM_BYTES: u32 = 64 << 10;

impl Host for CallState {
    fn typeid(&mut self, prefix: String) -> wasmtime::Result<String> {
        if !names::is_id_prefix(&prefix) {
            bail!("ids.typeid: a prefix is 1 to 20 letters a to z, with underscores inside");
        }
        Ok(typeid::new(&prefix))
    }

    fn random(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        if length > MAX_RANDOM_BYTES {
            bail!("ids.random: at most {MAX_RANDOM_BYTES} bytes");
        }
        let mut bytes = vec![0; length as usize];
        rand::rngs::SysRng.try_fill_bytes(&mut bytes)?;
        Ok(bytes)
    }
}
