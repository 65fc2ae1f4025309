//! The master key: where it comes from, and what is sealed with it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use rand::TryRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Secret, SecretsError};

/// 32 bytes that are nowhere in the database: whoever has a copy of the database, or may read its tables, has no secret by that.
#[derive(Clone)]
pub struct MasterKey(Secret<[u8; 32]>);

/// What a sealed value belongs to. It is part of the seal, so that a value which is copied into another row cannot be opened there: with
/// write access to the database, one store's password would otherwise be read through another store's plugin.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The store's number; 0 for what belongs to no single store.
    pub store: i64,
    pub plugin: &'a str,
    pub name: &'a str,
}

/// Format of a sealed value: this byte, the id of the key, the nonce, the ciphertext with its tag.
const FORMAT: u8 = 1;
const ID: usize = 8;
const NONCE: usize = 24;

impl MasterKey {
    pub const FILE: &str = "master.key";

    /// 32 bytes as 64 hex digits or base64.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let text = text.trim();
        let bytes = Zeroizing::new(
            hex::decode(text)
                .or_else(|_| STANDARD.decode(text))
                .or_else(|_| STANDARD_NO_PAD.decode(text))
                .map_err(|_| SecretsError::MalformedMasterKey)?,
        );
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| SecretsError::MalformedMasterKey)?;
        Ok(Self(Secret::new(key)))
    }

    /// The configured key, else the one in the data folder. `create`: make that file if there is none. Only where nothing is
    /// sealed yet: two nodes of one database with two keys could not read each other's secrets.
    pub fn obtain(configured: Option<&Secret<String>>, data_dir: &Path, create: bool) -> Result<Self, SecretsError> {
        if let Some(text) = configured {
            return Self::parse(text.expose());
        }
        let path = data_dir.join(Self::FILE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                let mode = fs::metadata(&path)
                    .map_err(|error| SecretsError::MasterKeyFile(path.clone(), error))?
                    .permissions()
                    .mode();
                if mode & 0o077 != 0 {
                    return Err(SecretsError::MasterKeyReadable(path));
                }
                Self::parse(&text)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                let key = Self::generate();
                key.write_new(&path)
                    .map_err(|error| SecretsError::MasterKeyFile(path, error))?;
                Ok(key)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SecretsError::NoMasterKey(path)),
            Err(error) => Err(SecretsError::MasterKeyFile(path, error)),
        }
    }

    pub fn generate() -> Self {
        Self(Secret::new(random_bytes()))
    }

    fn write_new(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let text = Zeroizing::new(hex::encode(self.0.expose()));
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        // A secret that is sealed with a key which a power cut then takes is lost.
        file.sync_all()
    }

    /// Names the key without telling anything about it, so that a wrong key is told from a damaged value.
    pub fn id(&self) -> String {
        hex::encode(self.id_bytes())
    }

    fn id_bytes(&self) -> [u8; ID] {
        let digest = Sha256::new()
            .chain_update(b"commerce master key id\0")
            .chain_update(self.0.expose())
            .finalize();
        let mut id = [0; ID];
        id.copy_from_slice(&digest[..ID]);
        id
    }

    /// A key for one other purpose, from which neither this key nor that of another purpose can be found.
    pub(crate) fn derive(&self, purpose: &str) -> Secret<[u8; 32]> {
        Secret::new(keyed_digest(
            self.0.expose(),
            &[b"commerce derived key", purpose.as_bytes()],
        ))
    }

    pub fn seal(&self, place: Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, SecretsError> {
        let nonce: [u8; NONCE] = random_bytes();
        let payload = Payload {
            msg: plaintext,
            aad: &place.associated_data(),
        };
        let ciphertext = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SecretsError::Damaged(place.describe()))?;
        let mut sealed = Vec::with_capacity(1 + ID + NONCE + ciphertext.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&self.id_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SecretsError> {
        let damaged = || SecretsError::Damaged(place.describe());
        let (format, rest) = sealed.split_first().ok_or_else(damaged)?;
        let (id, rest) = rest.split_first_chunk::<ID>().ok_or_else(damaged)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        if *format != FORMAT {
            return Err(damaged());
        }
        if *id != self.id_bytes() {
            return Err(SecretsError::WrongMasterKey {
                sealed_with: hex::encode(id),
                given: self.id(),
            });
        }
        let payload = Payload {
            msg: ciphertext,
            aad: &place.associated_data(),
        };
        self.cipher()
            .decrypt(&XNonce::from(*nonce), payload)
            .map(Secret::new)
            .map_err(|_| damaged())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.expose().into())
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "MasterKey({})", self.id())
    }
}

impl Place<'_> {
    /// Each part with its length: ("a", "bc") and ("ab", "c") are two places.
    fn associated_data(&self) -> Vec<u8> {
        let mut data = self.store.to_be_bytes().to_vec();
        for part in [self.plugin, self.name] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }

    pub(super) fn describe(&self) -> String {
        match self.store {
            0 => format!("{}.{}", self.plugin, self.name),
            store => format!("{}.{} of store {store}", self.plugin, self.name),
        }
    }
}

/// HMAC-SHA-256 over parts, each with its length.
pub(crate) fn keyed_digest(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key shorter than the block of SHA-256 is padded with zeros by definition.
    let mut block = Zeroizing::new([0; 64]);
    block[..key.len()].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new((&*block).into());
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// From the operating system. A machine that cannot give random bytes cannot make secrets: nothing sensible can go on.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = rand::rngs::SysRng.try_fill_bytes(&mut bytes) {
        panic!("the operating system gives no random bytes: {error}");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        store: 1,
        plugin: "mailer",
        name: "password",
    };

    #[test]
    fn a_sealed_value_opens_at_its_own_place_only() {
        let key = MasterKey::generate();
        let sealed = key.seal(PLACE, b"hunter2").unwrap();
        assert_eq!(key.open(PLACE, &sealed).unwrap().expose(), b"hunter2");
        for elsewhere in [
            Place { store: 2, ..PLACE },
            Place { plugin: "spy", ..PLACE },
            Place { name: "other", ..PLACE },
            Place {
                plugin: "mailerp",
                name: "assword",
                ..PLACE
            },
        ] {
            assert!(matches!(key.open(elsewhere, &sealed), Err(SecretsError::Damaged(_))));
        }
    }

    #[test]
    fn the_same_value_never_looks_the_same() {
        let key = MasterKey::generate();
        assert_ne!(
            key.seal(PLACE, b"hunter2").unwrap(),
            key.seal(PLACE, b"hunter2").unwrap()
        );
    }

    #[test]
    fn a_wrong_master_key_is_told_from_a_damaged_value() {
        let (key, other) = (MasterKey::generate(), MasterKey::generate());
        let mut sealed = key.seal(PLACE, b"hunter2").unwrap();
        assert!(matches!(
            other.open(PLACE, &sealed),
            Err(SecretsError::WrongMasterKey { .. })
        ));
        *sealed.last_mut().unwrap() ^= 1;
        assert!(matches!(key.open(PLACE, &sealed), Err(SecretsError::Damaged(_))));
        assert!(matches!(key.open(PLACE, &[]), Err(SecretsError::Damaged(_))));
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = MasterKey::obtain(None, folder.path(), true).unwrap();
        let second = MasterKey::obtain(None, folder.path(), true).unwrap();
        assert_eq!(first.id(), second.id());
        let path = folder.path().join(MasterKey::FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            MasterKey::obtain(None, folder.path(), true),
            Err(SecretsError::MasterKeyReadable(_))
        ));
    }

    #[test]
    fn without_a_key_and_without_leave_to_make_one_nothing_starts() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            MasterKey::obtain(None, folder.path(), false),
            Err(SecretsError::NoMasterKey(_))
        ));
    }

    #[test]
    fn keys_are_read_as_hex_or_base64_and_nothing_else() {
        assert_eq!(
            MasterKey::parse(&"00".repeat(32)).unwrap().id(),
            MasterKey::parse(&STANDARD.encode([0; 32])).unwrap().id()
        );
        for bad in ["", "secret", &"00".repeat(31), &STANDARD.encode([0; 33])] {
            assert!(MasterKey::parse(bad).is_err());
        }
    }
}
