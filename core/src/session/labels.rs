//! Labels of a session: names with values that the platform wants to find it by (`team=imaging`).
//! Not to be mixed up with the label, which names a session in a URL.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::Name;
use crate::limits;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(BTreeMap<Name, Box<str>>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    #[error("has more than {max} labels", max = limits::LABELS_MAX)]
    TooMany,
    #[error("has the name `{0}`, which is not 1 to 128 visible ASCII characters without \" , = \\")]
    Name(String),
    #[error("has a value longer than {max} bytes for `{0}`", max = limits::LABEL_VALUE_BYTES_MAX)]
    ValueLength(String),
    #[error("has a control character in the value of `{0}`")]
    ValueCharacter(String),
    #[error("has `{0}` twice")]
    Twice(String),
}

impl Labels {
    pub fn of_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, LabelsError> {
        let mut labels = BTreeMap::new();
        for (name, value) in pairs {
            let bad_name = || LabelsError::Name(name.to_owned());
            let parsed: Name = name.parse().map_err(|_| bad_name())?;
            if name.contains('=') {
                return Err(bad_name());
            }
            if value.len() > limits::LABEL_VALUE_BYTES_MAX {
                return Err(LabelsError::ValueLength(name.to_owned()));
            }
            if value.chars().any(char::is_control) {
                return Err(LabelsError::ValueCharacter(name.to_owned()));
            }
            match labels.entry(parsed) {
                Entry::Vacant(free) => free.insert(value.into()),
                Entry::Occupied(_) => return Err(LabelsError::Twice(name.to_owned())),
            };
        }
        if labels.len() > limits::LABELS_MAX {
            return Err(LabelsError::TooMany);
        }
        Ok(Self(labels))
    }

    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), &**value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of `wanted` are here with the same values.
    pub fn include(&self, wanted: &Labels) -> bool {
        wanted.0.iter().all(|(name, value)| self.0.get(name) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Result<Labels, LabelsError> {
        Labels::of_pairs(pairs.iter().copied())
    }

    #[test]
    fn labels_are_found_by_all_that_is_wanted() {
        let both = labels(&[("team", "imaging"), ("cost-centre", "42")]).unwrap();
        let one = labels(&[("team", "imaging")]).unwrap();
        let other = labels(&[("team", "genomics")]).unwrap();
        assert!(both.include(&one) && both.include(&both) && both.include(&Labels::default()));
        assert!(!one.include(&both) && !both.include(&other));
        assert_eq!(both.pairs().next(), Some(("cost-centre", "42")));
    }

    #[test]
    fn what_is_no_label_is_refused_by_name() {
        let many: Vec<_> = (0..=limits::LABELS_MAX).map(|i| format!("l{i}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(labels(&many), Err(LabelsError::TooMany));
        let long = "x".repeat(limits::LABEL_VALUE_BYTES_MAX + 1);
        assert!(matches!(labels(&[("a", &long)]), Err(LabelsError::ValueLength(_))));
        assert!(matches!(labels(&[("a", "x\ny")]), Err(LabelsError::ValueCharacter(_))));
        assert!(matches!(labels(&[("a b", "x")]), Err(LabelsError::Name(_))));
        assert!(matches!(labels(&[("a=b", "x")]), Err(LabelsError::Name(_))));
        assert!(matches!(labels(&[("a", "x"), ("a", "y")]), Err(LabelsError::Twice(_))));
    }
}
