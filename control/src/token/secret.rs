//! The secret of a bearer token. It must never show: it has no `Display`, and its `Debug` prints
//! nothing of it.

use portico_core::limits;

#[derive(Clone)]
pub struct Token(Box<str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error(
        "the API token must have {min} to {max} characters",
        min = limits::TOKEN_BYTES_MIN,
        max = limits::TOKEN_BYTES_MAX
    )]
    Length,
    #[error("the API token has a character other than A-Z a-z 0-9 - . _ ~ + / =")]
    Character,
    #[error("this machine gives no random numbers")]
    Random(#[source] getrandom::Error),
}

impl Token {
    /// 256 random bits in hexadecimal.
    pub fn generate() -> Result<Self, TokenError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()))
    }

    /// The token as a settings file or `Authorization` header has it (RFC 6750 §2.1), white space
    /// around it left out, because files end in a newline.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if !(limits::TOKEN_BYTES_MIN..=limits::TOKEN_BYTES_MAX).contains(&text.len()) {
            return Err(TokenError::Length);
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        if !text.bytes().all(allowed) {
            return Err(TokenError::Character);
        }
        Ok(Self(text.into()))
    }

    /// What an `Authorization` field's value carries in place of a token's secret.
    pub fn in_field(field: &[u8]) -> Option<&[u8]> {
        let (scheme, given) = field.split_at_checked(b"Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then(|| given.trim_ascii())
    }

    /// The secret itself, to be written to a file that only its owner can read.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_stands_behind_its_scheme() {
        for good in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef"] {
            assert_eq!(Token::in_field(good.as_bytes()), Some(&b"0123456789abcdef"[..]), "{good}");
        }
        for bad in ["", "Bearer", "0123456789abcdef", "Basic 0123456789abcdef"] {
            assert_eq!(Token::in_field(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_generated_token_is_a_token_and_does_not_show() {
        let (one, two) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert_ne!(one.secret(), two.secret());
        assert_eq!(Token::parse(one.secret()).unwrap().secret(), one.secret());
        assert!(!format!("{one:?}").contains(&one.secret()[..4]));
    }

    #[test]
    fn weak_or_impossible_tokens_are_refused() {
        assert!(matches!(Token::parse("short"), Err(TokenError::Length)));
        assert!(matches!(Token::parse(&"x".repeat(513)), Err(TokenError::Length)));
        assert!(matches!(Token::parse("0123456789 abcdef"), Err(TokenError::Character)));
    }
}
