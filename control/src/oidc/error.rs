//! What can go wrong in a sign-in, and whose fault it is. No variant holds a secret, a token or a
//! claim's value; codes and words of the platform are cut and cleaned before they get here.

use std::fmt;
use std::sync::Arc;

use portico_core::limits;

use crate::outbound::CallError;

/// Cheap to clone: a failure is told to all who wait for the same fetch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OidcError {
    #[error("{step}: the platform gave no answer")]
    NoAnswer {
        step: Step,
        #[source]
        source: Arc<CallError>,
    },
    #[error("{step}: the platform answered with status {status}")]
    Status { step: Step, status: u16 },
    #[error("{step}: the platform's answer is not the JSON of what it should be")]
    Json {
        step: Step,
        #[source]
        source: Arc<serde_json::Error>,
    },
    #[error("{step}: the platform's answer is of no use: {reason}")]
    Answer { step: Step, reason: &'static str },
    #[error("discovery: the document is of the issuer {found}, and not of {asked}")]
    OtherIssuer { asked: String, found: String },
    /// `invalid_client`: what it had registered is gone, or the secret is another one.
    #[error("{step}: the platform does not know this client, or not by this secret")]
    ClientUnknown { step: Step },
    /// `invalid_grant`: an old or foreign code, or a refresh token that is used up.
    #[error("{step}: the code or refresh token is not valid any more")]
    GrantRefused { step: Step },
    #[error("{step}: the platform refused it with `{code}`: {detail}")]
    Refused { step: Step, code: String, detail: String },
    #[error("the id token is not valid")]
    IdToken(#[source] TokenError),
    #[error("the logout token is not valid")]
    LogoutToken(#[source] TokenError),
    #[error("what the browser brought back is not valid")]
    Callback(#[source] CallbackError),
    #[error("the settings of the sign-in cannot be used")]
    Settings(#[source] SettingsError),
}

/// Which call to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Discovery,
    Keys,
    Registration,
    Code,
    Refresh,
    UserInfo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is not a signed token")]
    Malformed,
    #[error("it is longer than {max} bytes", max = limits::OIDC_TOKEN_BYTES_MAX)]
    TooLong,
    #[error("it is signed in a way that is not accepted")]
    Algorithm,
    #[error("it is signed with a key that the platform does not publish")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is of another kind")]
    Kind,
    #[error("it is of another issuer")]
    Issuer,
    #[error("it is for another client")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is from the future")]
    Early,
    #[error("it is for another sign-in")]
    Nonce,
    #[error("it is of another user than before")]
    Subject,
    #[error("its claim `{0}` is missing or not what it should be")]
    Claim(&'static str),
    /// The claim that the settings name as the user's.
    #[error("it has no user that Portico can name")]
    User,
    #[error("the platform has not verified the e-mail address that names the user")]
    EmailNotVerified,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    #[error("a parameter is missing, there twice, or too long")]
    Parameter,
    #[error("it does not say which issuer it is from, as this platform does")]
    NoIssuer,
    #[error("it is from another issuer")]
    OtherIssuer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("the issuer or platform is not an http(s) URL without user, query and fragment")]
    Place,
    #[error("the platform registers no clients, so a client id has to be set")]
    NoRegistration,
    #[error("the platform refused the registration token, or wants one")]
    RegistrationToken,
    #[error("the client has a form that cannot be written into a request")]
    Client,
}

/// Whose turn it is. Users read which one; operators read the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is away or overloaded: later may help.
    PlatformAway,
    /// It does not do what the specifications say.
    PlatformWrong,
    /// The user's request is old, repeated or forged: starting again may help.
    Request,
    /// An operator has to change something.
    Settings,
}

impl OidcError {
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoAnswer { source, .. } => match **source {
                CallError::TooLarge => Fault::PlatformWrong,
                CallError::Timeout(_) | CallError::Connection(_) | CallError::Body(_) => {
                    Fault::PlatformAway
                }
            },
            Self::Status { status: 429 | 500.., .. } => Fault::PlatformAway,
            Self::Status { .. } | Self::Json { .. } | Self::Answer { .. } => Fault::PlatformWrong,
            Self::OtherIssuer { .. } | Self::ClientUnknown { .. } | Self::Refused { .. } => {
                Fault::Settings
            }
            Self::GrantRefused { .. } | Self::LogoutToken(_) | Self::Callback(_) => Fault::Request,
            // A nonce that differs was made for another browser, a subject for another user.
            Self::IdToken(TokenError::Nonce | TokenError::Subject) => Fault::Request,
            Self::IdToken(TokenError::User) => Fault::Settings,
            Self::IdToken(_) => Fault::PlatformWrong,
            Self::Settings(_) => Fault::Settings,
        }
    }

    /// The registration is of no use any more; whoever has one that was not set registers anew.
    pub fn is_client_unknown(&self) -> bool {
        matches!(self, Self::ClientUnknown { .. })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discovery => "discovery",
            Self::Keys => "keys",
            Self::Registration => "registration of the client",
            Self::Code => "exchange of the code",
            Self::Refresh => "refresh",
            Self::UserInfo => "user info",
        })
    }
}
