//! A signed token of the platform: when it is believed at all, whatever it is about. The signature,
//! the issuer and the audience are the library's to check; the clock is ours, because it is given.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use portico_core::limits;
use portico_core::session::Timestamp;
use serde_json::{Map, Value};

use super::TokenError;
use super::keys::{ALGORITHMS, Keys};

/// Claims of which it is known that the platform made them for us.
#[derive(Debug)]
pub struct Claims(Map<String, Value>);

/// The kind of a token, by the media type that it may name itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Id,
    Logout,
}

/// `issuer` and `client_id`: whose token it must be, and for whom.
pub fn verified(
    token: &str,
    kind: Kind,
    keys: &Keys,
    issuer: &str,
    client_id: &str,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    if token.len() > limits::OIDC_TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let header = decode_header(token).map_err(|error| judged(error.kind()))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(TokenError::Algorithm);
    }
    // RFC 7515 §4.1.11: who does not know an extension must refuse, and we know none.
    if header.crit.is_some() {
        return Err(TokenError::Malformed);
    }
    if !kind.admits(header.typ.as_deref()) {
        return Err(TokenError::Kind);
    }
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[client_id]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // The library reads the clock itself; `in_time` is given it.
    validation.validate_exp = false;
    // Without a key id a wrong signature may be one of a key that is newer than those we have.
    let named = header.kid.is_some();
    let mut outcome = Err(TokenError::UnknownKey);
    for key in keys.of(&header) {
        match decode::<Map<String, Value>>(token, key, &validation) {
            Ok(decoded) => return Claims(decoded.claims).judged(issuer, client_id, now),
            Err(error) => match judged(error.kind()) {
                TokenError::Signature if !named => {}
                judged => outcome = Err(judged),
            },
        }
    }
    outcome
}

impl Claims {
    pub fn of_user_info(members: Map<String, Value>) -> Self {
        Self(members)
    }

    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// `None` where it is missing, an error where it is empty, too long or no text.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, TokenError> {
        let fits = |text: &&str| (1..=limits::OIDC_SUBJECT_BYTES_MAX).contains(&text.len());
        let text = self.value(name).map(|value| value.as_str().filter(fits));
        text.map(|text| text.ok_or(TokenError::Claim(name))).transpose()
    }

    /// What the library leaves to us, or is more lenient with.
    fn judged(self, issuer: &str, client_id: &str, now: Timestamp) -> Result<Self, TokenError> {
        // It takes a list with the right one in it, too.
        if self.value("iss").and_then(Value::as_str) != Some(issuer) {
            return Err(TokenError::Issuer);
        }
        // OpenID Connect Core §3.1.3.7, 4 and 5.
        let several = self.value("aud").and_then(Value::as_array).is_some_and(|aud| aud.len() > 1);
        match self.value("azp") {
            Some(azp) if azp.as_str() != Some(client_id) => return Err(TokenError::Audience),
            None if several => return Err(TokenError::Audience),
            Some(_) | None => {}
        }
        self.in_time(now)?;
        Ok(self)
    }

    fn in_time(&self, now: Timestamp) -> Result<(), TokenError> {
        let skew = limits::OIDC_CLOCK_SKEW.as_secs_f64();
        let now = now.0 as f64 / 1_000.0;
        let seconds = |name| self.value(name).map(|at| at.as_f64().ok_or(TokenError::Claim(name)));
        let expires = seconds("exp").unwrap_or(Err(TokenError::Claim("exp")))?;
        let issued = seconds("iat").unwrap_or(Err(TokenError::Claim("iat")))?;
        let begins = seconds("nbf").transpose()?.unwrap_or(issued);
        if now >= expires + skew {
            return Err(TokenError::Expired);
        }
        if issued > now + skew || begins > now + skew {
            return Err(TokenError::Early);
        }
        Ok(())
    }
}

impl Kind {
    /// RFC 8725 §3.11, but many platforms say no more than `JWT`; a token of another use is told by
    /// its claims then.
    fn admits(self, typ: Option<&str>) -> bool {
        let Some(typ) = typ else { return true };
        let typ = typ.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        match self {
            Self::Id => !matches!(typ, "logout+jwt" | "at+jwt"),
            Self::Logout => matches!(typ, "jwt" | "logout+jwt"),
        }
    }
}

fn judged(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => TokenError::Algorithm,
        ErrorKind::MissingRequiredClaim(name) => match name.as_str() {
            "iss" => TokenError::Claim("iss"),
            "aud" => TokenError::Claim("aud"),
            _ => TokenError::Claim("exp"),
        },
        _ => TokenError::Malformed,
    }
}
