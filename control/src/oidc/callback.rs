//! What a browser brings back from the platform, in the query of the callback. Whether the sign-in
//! was begun by this browser is for its `state` to show, which the caller compares.

use portico_core::limits;
use url::form_urlencoded;

use super::answer::cleaned;
use super::{CallbackError, OidcError};
use crate::secret::Secret;

#[derive(Debug, Clone)]
pub struct Callback {
    /// To be compared with the sealed one, in constant time or by its hash.
    pub state: Secret,
    /// RFC 9207; `Provider::exchange` judges it.
    pub issuer: Option<String>,
    pub outcome: Outcome,
}

#[derive(Debug, Clone)]
pub enum Outcome {
    /// One-time, short-lived.
    Code(Secret),
    /// A code of RFC 6749 §4.1.2.1 or OpenID Connect Core §3.1.2.6: `access_denied`, when the user
    /// did not want to; `login_required`, when `Prompt::None` was asked for.
    Refused(String),
}

impl Callback {
    pub fn parse(query: &str) -> Result<Self, OidcError> {
        let invalid = OidcError::Callback(CallbackError::Parameter);
        let [mut state, mut issuer, mut code, mut error] = [const { None }; 4];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut state,
                "iss" => &mut issuer,
                "code" => &mut code,
                "error" => &mut error,
                _ => continue,
            };
            // Twice: somebody added one, and which of both others look at is anybody's guess.
            let fits = (1..=limits::OIDC_PARAMETER_BYTES_MAX).contains(&value.len());
            if !fits || place.replace(value.into_owned()).is_some() {
                return Err(invalid);
            }
        }
        let outcome = match (code, error) {
            (Some(code), None) => Outcome::Code(Secret::new(code)),
            (None, Some(error)) => Outcome::Refused(cleaned(&error)),
            (Some(_), Some(_)) | (None, None) => return Err(invalid),
        };
        let state = state.map(Secret::new).ok_or(invalid)?;
        Ok(Self { state, issuer, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_or_a_refusal_is_read_and_secrets_do_not_show() {
        let callback = Callback::parse("code=c%2Fd&state=s&iss=https%3A%2F%2Fp&x=1").unwrap();
        assert_eq!(callback.state.reveal(), "s");
        assert_eq!(callback.issuer.as_deref(), Some("https://p"));
        assert!(matches!(&callback.outcome, Outcome::Code(code) if code.reveal() == "c/d"));
        assert!(!format!("{callback:?}").contains("c/d"));
        let refused = Callback::parse("error=access_denied&error_description=no&state=s").unwrap();
        assert!(matches!(refused.outcome, Outcome::Refused(code) if code == "access_denied"));
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("code={}&state=s", "x".repeat(limits::OIDC_PARAMETER_BYTES_MAX + 1));
        for bad in [
            "",
            "code=c",
            "state=s",
            "code=&state=s",
            "code=c&state=",
            "code=c&state=s&state=s",
            "code=c&state=s&c%6Fde=d",
            "code=c&error=e&state=s",
            "code=c&state=s&iss=a&iss=a",
            &long,
        ] {
            let error = Callback::parse(bad).unwrap_err();
            assert_eq!(error.fault(), super::super::Fault::Request, "{bad}");
        }
    }
}
