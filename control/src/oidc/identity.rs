//! Who signed in, from the claims of an id token and, where that lacks some, of the user info.

use portico_core::limits;
use portico_core::session::Name;
use serde_json::Value;

use super::TokenError;
use super::token::Claims;

/// Which claims say what. The first level of the claims only, by their exact names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// The user as sessions name their owners; `sub` where nobody says.
    pub user: String,
    /// Strings or numbers; None: the platform does not tell.
    pub workspaces: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: Name,
    /// `sub`: as which the platform knows the user, and logs them out.
    pub subject: String,
    /// `sid`: the platform's own session of this browser.
    pub session_id: Option<String>,
    /// Those that can be one of Portico's, at most `OIDC_WORKSPACES_MAX`.
    pub workspaces: Vec<Name>,
    /// For people to read.
    pub name: Option<String>,
}

impl ClaimNames {
    /// What the user info has to be asked for.
    pub fn missing_in(&self, claims: &Claims) -> Missing {
        if claims.value(&self.user).is_none() {
            return Missing::User;
        }
        match &self.workspaces {
            Some(name) if claims.value(name).is_none() => Missing::Workspaces,
            Some(_) | None => Missing::Nothing,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Nothing,
    /// The user can be let in without.
    Workspaces,
    User,
}

/// `claims` in the order in which they are believed. The first has the subject and the session.
pub fn identity(claims: &[&Claims], names: &ClaimNames) -> Result<Identity, TokenError> {
    let own = claims.first().ok_or(TokenError::Malformed)?;
    let subject = own.text("sub")?.ok_or(TokenError::Claim("sub"))?.to_owned();
    let with = |name: &str| claims.iter().find_map(|each| each.value(name));
    let user = with(&names.user).ok_or(TokenError::User)?;
    // Whoever may enter any address at the platform would be any user here.
    let mut verified = claims.iter().filter_map(|each| each.value("email_verified"));
    if names.user == "email" && !verified.all(is_true) {
        return Err(TokenError::EmailNotVerified);
    }
    let workspaces = names.workspaces.as_deref().and_then(with);
    Ok(Identity {
        user: name_of(user).ok_or(TokenError::User)?,
        subject,
        session_id: own.text("sid")?.map(str::to_owned),
        workspaces: workspaces.map(names_of).unwrap_or_default(),
        name: with("name").and_then(|name| for_people(name.as_str()?)),
    })
}

/// Some platforms write it as a text.
fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(value.as_str() == Some("true"))
}

fn name_of(value: &Value) -> Option<Name> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) if number.is_u64() => number.to_string().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// One that cannot be a workspace's name can have no session, so it is left out; and so are those
/// beyond the bound: a user who is in fewer may do less, not more.
fn names_of(list: &Value) -> Vec<Name> {
    let all = match list {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let names: Vec<_> = all.iter().filter_map(name_of).take(limits::OIDC_WORKSPACES_MAX).collect();
    if names.len() < all.len() {
        tracing::warn!(given = all.len(), kept = names.len(), "not all of a user's workspaces fit");
    }
    names
}

fn for_people(name: &str) -> Option<String> {
    let shown = |c: &char| !c.is_control();
    let mut name: String = name.trim().chars().filter(shown).collect();
    name.truncate(name.floor_char_boundary(limits::NAME_BYTES_MAX));
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        let Value::Object(members) = value else { panic!("no object") };
        Claims::of_user_info(members)
    }

    fn names(user: &str) -> ClaimNames {
        ClaimNames { user: user.into(), workspaces: Some("workspaces".into()) }
    }

    #[test]
    fn a_user_is_named_by_the_claim_that_the_settings_name() {
        let token = claims(json!({
            "sub": "u-1", "sid": "s-1", "email": "ada@example.com", "user_id": 17,
            "name": " Ada\u{7} Lovelace ", "workspaces": ["genomics", 42, "no name", null, -1],
        }));
        let ada = identity(&[&token], &names("email")).unwrap();
        assert_eq!((ada.user.as_str(), ada.subject.as_str()), ("ada@example.com", "u-1"));
        assert_eq!(ada.session_id.as_deref(), Some("s-1"));
        assert_eq!(ada.name.as_deref(), Some("Ada Lovelace"));
        let workspaces: Vec<_> = ada.workspaces.iter().map(Name::as_str).collect();
        assert_eq!(workspaces, ["genomics", "42"]);
        assert_eq!(identity(&[&token], &names("user_id")).unwrap().user.as_str(), "17");
        assert_eq!(identity(&[&token], &names("other")), Err(TokenError::User));
        assert_eq!(identity(&[&token], &names("workspaces")), Err(TokenError::User));
    }

    #[test]
    fn what_the_token_lacks_is_taken_from_the_user_info() {
        let token = claims(json!({ "sub": "u-1", "email": null }));
        let info = claims(json!({ "sub": "u-2", "sid": "x", "email": "a@b.c", "workspaces": "w" }));
        assert_eq!(names("email").missing_in(&token), Missing::User);
        assert_eq!(names("sub").missing_in(&token), Missing::Workspaces);
        assert_eq!(names("sub").missing_in(&info), Missing::Nothing);
        let both = identity(&[&token, &info], &names("email")).unwrap();
        assert_eq!((both.user.as_str(), both.subject.as_str()), ("a@b.c", "u-1"));
        assert_eq!((both.session_id, both.workspaces.len()), (None, 1));
    }

    #[test]
    fn an_address_that_is_not_verified_names_nobody() {
        for (verified, admitted) in
            [(json!(true), true), (json!("true"), true), (json!(false), false), (json!(1), false)]
        {
            let token = claims(json!({ "sub": "u", "email": "a@b.c", "email_verified": verified }));
            let outcome = identity(&[&token], &names("email"));
            assert_eq!(outcome.is_ok(), admitted, "{verified}");
            assert!(identity(&[&token], &names("sub")).is_ok());
        }
    }

    #[test]
    fn workspaces_and_texts_are_bounded() {
        let many: Vec<_> = (0..200).collect();
        let token = claims(json!({ "sub": "u", "workspaces": many, "name": "ä".repeat(100) }));
        let user = identity(&[&token], &names("sub")).unwrap();
        assert_eq!(user.workspaces.len(), limits::OIDC_WORKSPACES_MAX);
        assert_eq!(user.name.unwrap().len(), limits::NAME_BYTES_MAX);
        let long = claims(json!({ "sub": "u".repeat(256) }));
        assert_eq!(identity(&[&long], &names("sub")), Err(TokenError::Claim("sub")));
    }
}
