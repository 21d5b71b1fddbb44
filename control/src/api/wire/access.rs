//! Who may open a session, as it is sent and told: `access` and `allowed_users`. What a policy
//! admits is `core`'s business.

use portico_core::access::{Access, AllowedUsers, Policy};

use super::super::ApiSettings;
use super::super::fields::Fields;

/// What was given of the two.
pub struct Given {
    policy: Option<Policy>,
    users: Option<AllowedUsers>,
}

impl Given {
    /// `null` leaves nobody named; to a new session that is the same as saying nothing.
    pub fn read(fields: &mut Fields, settings: &ApiSettings) -> Self {
        let policy = fields.checked("access", |word| match word.parse::<Policy>() {
            Ok(Policy::Public) if !settings.public_sessions => {
                Err("cannot be public here: the setting access.public_sessions is off".to_owned())
            }
            Ok(policy) => Ok(policy),
            Err(error) => Err(error.to_string()),
        });
        let users = match fields.is_null("allowed_users") {
            true => Some(AllowedUsers::default()),
            false => fields.words("allowed_users", |words| AllowedUsers::of_words(words)),
        };
        Self { policy, users }
    }

    pub fn or(&self, policy: Policy) -> Access {
        self.over(&Access { policy, users: AllowedUsers::default() })
    }

    pub fn over(&self, before: &Access) -> Access {
        Access {
            policy: self.policy.unwrap_or(before.policy),
            users: self.users.clone().unwrap_or_else(|| before.users.clone()),
        }
    }
}

/// For the audit log: `access private to users`, `allowed_users +bob -eve`.
pub fn difference(before: &Access, after: &Access) -> Vec<String> {
    let mut changes = Vec::new();
    if before.policy != after.policy {
        changes.push(format!("access {} to {}", before.policy.as_str(), after.policy.as_str()));
    }
    if before.users != after.users {
        let only = |sign: char, these: &AllowedUsers, those: &AllowedUsers| -> String {
            let names = these.iter().filter(|name| !those.contains(name));
            names.map(|name| format!(" {sign}{name}")).collect()
        };
        let (added, removed) =
            (only('+', &after.users, &before.users), only('-', &before.users, &after.users));
        changes.push(format!("allowed_users{added}{removed}"));
    }
    changes
}
