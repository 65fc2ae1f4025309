//! Access tokens: JWTs that this kernel signs and only it reads, so that checking one takes no statement.
//!
//! One algorithm is pinned, HMAC with SHA-256: what a token's own header asks for is compared with it and decides
//! nothing. Nobody else has to verify the tokens, so there is no public key that could be mistaken for an HMAC secret.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::secrets::Secret;

const ALGORITHM: Algorithm = Algorithm::HS256;
const ISSUER: &str = "commerce";
/// Ours have some 400 bytes. Longer ones are not even looked at.
const MAX_TOKEN_BYTES: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    /// The id of the one store it is good in.
    pub aud: String,
    /// The account.
    pub sub: String,
    /// The session; a revoked one ends its access tokens too.
    pub sid: String,
    /// Seconds since 1970.
    pub iat: i64,
    pub exp: i64,
    /// The account's address, once verified, as it was at `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_email: Option<String>,
}

impl Claims {
    pub fn new(store: &str, account: &str, session: &str, verified_email: Option<String>, iat: i64, life: i64) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            aud: store.to_owned(),
            sub: account.to_owned(),
            sid: session.to_owned(),
            iat,
            exp: iat.saturating_add(life),
            verified_email,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    Expired,
    /// Everything else. The client is not told what: it would only help who makes tokens up.
    Invalid,
}

/// The keys in force: the newest signs, all verify. Replaced whole at a rotation.
pub struct SigningKeys {
    /// In the order in which they begin to sign.
    keys: Vec<SigningKey>,
}

pub struct SigningKey {
    id: String,
    /// Seconds since 1970. Later than its creation: until then every node has learnt to verify with it.
    signs_from: i64,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl SigningKey {
    pub fn new(id: String, signs_from: i64, secret: &Secret<Vec<u8>>) -> Self {
        let (encoding, decoding) = (
            EncodingKey::from_secret(secret.expose()),
            DecodingKey::from_secret(secret.expose()),
        );
        Self {
            id,
            signs_from,
            encoding,
            decoding,
        }
    }
}

impl SigningKeys {
    pub fn new(mut keys: Vec<SigningKey>) -> Self {
        keys.sort_by_key(|key| key.signs_from);
        Self { keys }
    }

    /// Fails only where there is no key.
    pub fn sign(&self, claims: &Claims) -> Result<String, TokenFault> {
        let newest = self.keys.iter().rfind(|key| key.signs_from <= claims.iat);
        // A clock set back must not keep anybody from signing in.
        let key = newest.or(self.keys.first()).ok_or(TokenFault::Invalid)?;
        let header = Header {
            kid: Some(key.id.clone()),
            ..Header::new(ALGORITHM)
        };
        jsonwebtoken::encode(&header, claims, &key.encoding).map_err(|_| TokenFault::Invalid)
    }

    /// `store`: the id of the store that the request is for.
    pub fn verify(&self, token: &str, store: &str) -> Result<Claims, TokenFault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenFault::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenFault::Invalid)?;
        let key = self
            .keys
            .iter()
            .find(|key| header.kid.as_ref() == Some(&key.id))
            .ok_or(TokenFault::Invalid)?;
        let mut validation = Validation::new(ALGORITHM);
        validation.leeway = 0;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[store]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        match jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation) {
            Ok(token) => Ok(token.claims),
            Err(error) if *error.kind() == ErrorKind::ExpiredSignature => Err(TokenFault::Expired),
            Err(_) => Err(TokenFault::Invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;
    use crate::secrets::keyed_digest;

    fn secret(byte: u8) -> Secret<Vec<u8>> {
        Secret::new(vec![byte; 32])
    }

    fn key(id: &str, byte: u8) -> SigningKey {
        SigningKey::new(id.to_owned(), i64::from(id == "new"), &secret(byte))
    }

    fn only(id: &str, byte: u8) -> SigningKeys {
        SigningKeys::new(vec![key(id, byte)])
    }

    fn keys() -> SigningKeys {
        SigningKeys::new(vec![key("new", 1), key("old", 2)])
    }

    fn now() -> i64 {
        chrono::Utc::now().timestamp()
    }

    fn claims() -> Claims {
        Claims::new("store_a", "user_1", "ses_1", None, now(), 900)
    }

    fn forged(header: serde_json::Value, claims: &Claims, signature: &[u8]) -> String {
        let part = |value: Vec<u8>| URL_SAFE_NO_PAD.encode(value);
        let (header, claims) = (
            serde_json::to_vec(&header).unwrap(),
            serde_json::to_vec(claims).unwrap(),
        );
        format!("{}.{}.{}", part(header), part(claims), part(signature.to_vec()))
    }

    #[test]
    fn a_token_is_good_in_its_own_store_only() {
        let token = keys().sign(&claims()).unwrap();
        assert_eq!(keys().verify(&token, "store_a").unwrap().sub, "user_1");
        assert_eq!(keys().verify(&token, "store_b"), Err(TokenFault::Invalid));
    }

    #[test]
    fn an_expired_token_is_told_from_a_false_one() {
        let expired = Claims {
            iat: now() - 901,
            exp: now() - 1,
            ..claims()
        };
        let token = keys().sign(&expired).unwrap();
        assert_eq!(keys().verify(&token, "store_a"), Err(TokenFault::Expired));
        // Not for the false one: nobody learns from the answer that only the time was wrong.
        let false_one = only("new", 9).sign(&expired).unwrap();
        assert_eq!(keys().verify(&false_one, "store_a"), Err(TokenFault::Invalid));
    }

    #[test]
    fn tokens_of_the_former_key_stay_good_and_those_of_unknown_keys_do_not() {
        let former = only("old", 2).sign(&claims()).unwrap();
        assert!(keys().verify(&former, "store_a").is_ok());
        let unknown = only("other", 1).sign(&claims()).unwrap();
        assert_eq!(keys().verify(&unknown, "store_a"), Err(TokenFault::Invalid));
    }

    #[test]
    fn a_new_key_signs_only_once_every_node_has_it() {
        let keys = SigningKeys::new(vec![
            key("old", 2),
            SigningKey::new("next".to_owned(), now() + 5, &secret(3)),
        ]);
        assert!(only("old", 2).verify(&keys.sign(&claims()).unwrap(), "store_a").is_ok());
        let later = Claims::new("store_a", "user_1", "ses_1", None, now() + 5, 900);
        assert!(only("next", 3).verify(&keys.sign(&later).unwrap(), "store_a").is_ok());
    }

    #[test]
    fn the_key_id_of_another_key_does_not_help() {
        let token = only("old", 1).sign(&claims()).unwrap();
        assert_eq!(keys().verify(&token, "store_a"), Err(TokenFault::Invalid));
    }

    #[test]
    fn a_token_that_chooses_its_own_algorithm_is_refused() {
        for algorithm in ["none", "None", "HS384", "HS512", "RS256", "ES256", "EdDSA"] {
            for signature in [&b""[..], &[0; 32]] {
                let token = forged(
                    json!({ "alg": algorithm, "typ": "JWT", "kid": "new" }),
                    &claims(),
                    signature,
                );
                assert_eq!(
                    keys().verify(&token, "store_a"),
                    Err(TokenFault::Invalid),
                    "{algorithm}"
                );
            }
        }
        let strong = jsonwebtoken::encode(
            &Header {
                kid: Some("new".to_owned()),
                ..Header::new(Algorithm::HS512)
            },
            &claims(),
            &EncodingKey::from_secret(&[1; 32]),
        );
        assert_eq!(keys().verify(&strong.unwrap(), "store_a"), Err(TokenFault::Invalid));
    }

    #[test]
    fn a_token_without_key_id_signature_or_claims_is_refused() {
        let header = json!({ "alg": "HS256" });
        let signature = keyed_digest(&[1; 32], &[b"anything"]);
        let good = keys().sign(&claims()).unwrap();
        let unsigned = good.rsplit_once('.').unwrap().0;
        let endless = format!("{good}{}", "a".repeat(MAX_TOKEN_BYTES));
        let no_kid = forged(header, &claims(), &signature);
        for bad in [unsigned, &format!("{unsigned}."), &no_kid, "", "a.b.c", "..", &endless] {
            assert_eq!(keys().verify(bad, "store_a"), Err(TokenFault::Invalid), "{bad}");
        }
        let foreign_issuer = Claims {
            iss: "someone".to_owned(),
            ..claims()
        };
        assert!(
            keys()
                .verify(&keys().sign(&foreign_issuer).unwrap(), "store_a")
                .is_err()
        );
    }

    #[test]
    fn changing_any_part_of_a_token_breaks_it() {
        let token = keys().sign(&claims()).unwrap();
        let [header, _, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let richer = Claims {
            sub: "user_2".to_owned(),
            ..claims()
        };
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&richer).unwrap());
        assert_eq!(
            keys().verify(&format!("{header}.{payload}.{signature}"), "store_a"),
            Err(TokenFault::Invalid)
        );
    }
}
