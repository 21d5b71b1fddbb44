//! Portico as a client of the platform: its id, its secret, and how it proves at the token endpoint
//! who it is (RFC 6749 §2.3).

use axum::body::Bytes;
use axum::http::{HeaderValue, Request, header};
use data_encoding::BASE64;
use http_body_util::Full;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::{OidcError, SettingsError};
use crate::secret::Secret;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub id: String,
    pub secret: Option<Secret>,
    /// None: as the platform prefers.
    pub auth: Option<ClientAuth>,
    /// Exactly as registered.
    pub redirect_uri: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// The secret in an `Authorization` field.
    Basic,
    /// The secret in the form.
    Post,
    /// A public client, which PKCE protects alone.
    None,
}

impl Client {
    /// One that the operator registered.
    pub fn fixed(
        id: impl Into<String>,
        secret: Option<Secret>,
        redirect_uri: impl Into<String>,
    ) -> Self {
        Self { id: id.into(), secret, auth: None, redirect_uri: redirect_uri.into() }
    }

    /// `supported`: by the platform.
    fn auth(&self, supported: &[ClientAuth]) -> ClientAuth {
        match (&self.secret, self.auth) {
            (None, _) => ClientAuth::None,
            (Some(_), Some(auth)) => auth,
            (Some(_), None) => ClientAuth::preferred(supported).unwrap_or(ClientAuth::Basic),
        }
    }

    /// A request to the token endpoint with this form.
    pub(super) fn request(
        &self,
        to: &Url,
        supported: &[ClientAuth],
        form: &[(&str, &str)],
    ) -> Result<Request<Full<Bytes>>, OidcError> {
        let mut body = Serializer::new(String::new());
        body.extend_pairs(form);
        let mut request = Request::post(to.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        match (self.auth(supported), &self.secret) {
            (ClientAuth::Basic, Some(secret)) => {
                let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&self.id), encoded(secret.reveal()));
                let field = format!("Basic {}", BASE64.encode(pair.as_bytes()));
                let mut field = HeaderValue::from_str(&field).map_err(|_| unusable())?;
                field.set_sensitive(true);
                request = request.header(header::AUTHORIZATION, field);
            }
            (ClientAuth::Post, Some(secret)) => {
                body.append_pair("client_id", &self.id);
                body.append_pair("client_secret", secret.reveal());
            }
            (ClientAuth::None, _) | (_, None) => {
                body.append_pair("client_id", &self.id);
            }
        }
        request.body(Full::from(body.finish())).map_err(|_| unusable())
    }
}

impl ClientAuth {
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "client_secret_basic" => Some(Self::Basic),
            "client_secret_post" => Some(Self::Post),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::None => "none",
        }
    }

    pub(super) fn preferred(supported: &[Self]) -> Option<Self> {
        [Self::Basic, Self::Post, Self::None].into_iter().find(|auth| supported.contains(auth))
    }
}

fn unusable() -> OidcError {
    OidcError::Settings(SettingsError::Client)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn sent(client: &Client, supported: &[ClientAuth]) -> (Option<String>, String) {
        let to = Url::parse("https://p.example.com/token").unwrap();
        let request = client.request(&to, supported, &[("code", "a b&c")]).unwrap();
        let field = request.headers().get(header::AUTHORIZATION);
        let field = field.map(|field| field.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        (field, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_client_proves_itself_as_the_platform_wants() {
        let client = Client::fixed("a:b", Some(Secret::new("s%c/r t")), "https://c/");
        let (field, body) = sent(&client, &[ClientAuth::Post, ClientAuth::Basic]).await;
        // RFC 6749 §2.3.1: both are encoded as in a form first.
        let expected = format!("Basic {}", BASE64.encode(b"a%3Ab:s%25c%2Fr+t"));
        assert_eq!((field.unwrap(), body.as_str()), (expected, "code=a+b%26c"));
        let (field, body) = sent(&client, &[ClientAuth::Post]).await;
        let expected = "code=a+b%26c&client_id=a%3Ab&client_secret=s%25c%2Fr+t";
        assert_eq!((field, body.as_str()), (None, expected));
        let public = Client { secret: None, ..client };
        let (field, body) = sent(&public, &[ClientAuth::Basic]).await;
        assert_eq!((field, body.as_str()), (None, "code=a+b%26c&client_id=a%3Ab"));
    }
}
