//! Fields of messages, and the image that they name.

use std::fmt::Display;
use std::str::FromStr;

use oci::{Digest, ImageReference, RegistryName, Repository, Tag, TagOrDigest};

use crate::server::problem::Problem;
use crate::server::triggers::HookSettings;

/// A value of a message, with the name of its field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a str,
}

/// The fields that name an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImageFields<'a> {
    /// `None` if the product names no host.
    pub(super) host: Option<Field<'a>>,
    pub(super) plain_http: bool,
    pub(super) repository: Field<'a>,
    /// Products write the digest here for an image without a tag.
    pub(super) tag: Field<'a>,
    pub(super) digest: Option<Field<'a>>,
}

impl<'a> Field<'a> {
    pub(super) fn new(name: &'static str, value: Option<&'a str>) -> Self {
        Self {
            name,
            value: value.unwrap_or_default(),
        }
    }

    /// Requires a value.
    pub(super) fn needed(self) -> Result<&'a str, Problem> {
        if self.value.is_empty() {
            return Err(Problem::invalid(format!(
                "`{}` is missing from the webhook.",
                self.name
            )));
        }
        Ok(self.value)
    }

    pub(super) fn invalid(self, fault: impl Display) -> Problem {
        Problem::invalid(format!("`{}`: {fault}.", self.name))
    }

    fn parsed<T: FromStr<Err: Display>>(self) -> Result<T, Problem> {
        self.needed()?.parse().map_err(|fault| self.invalid(fault))
    }

    /// Returns `None` for an empty value.
    fn parsed_if_any<T: FromStr<Err: Display>>(self) -> Result<Option<T>, Problem> {
        if self.value.is_empty() {
            return Ok(None);
        }
        self.parsed().map(Some)
    }
}

impl ImageFields<'_> {
    /// Returns the image. A configured registry replaces the host of the message.
    pub(super) fn image(&self, settings: &HookSettings) -> Result<ImageReference, Problem> {
        let (tag, digest) = self.tag_and_digest()?;
        let wanted = match (digest, &tag) {
            (Some(digest), _) => TagOrDigest::Digest(digest),
            (None, Some(tag)) => TagOrDigest::Tag(tag.clone()),
            (None, None) => {
                return Err(Problem::invalid(format!(
                    "`{}` is missing from the webhook.",
                    self.tag.name
                )));
            }
        };
        Ok(ImageReference {
            registry: self.registry(settings)?,
            base_path: String::new(),
            repository: self.repository.parsed::<Repository>()?,
            wanted,
            tag,
            plain_http: self.plain_http && settings.registry.is_none(),
        })
    }

    fn registry(&self, settings: &HookSettings) -> Result<RegistryName, Problem> {
        match (&settings.registry, self.host) {
            (Some(registry), _) => Ok(registry.clone()),
            (None, Some(host)) => RegistryName::parse(host.needed()?, self.plain_http)
                // The value may hold a password.
                .map_err(|_| host.invalid("it names no host such as registry.example.com:5000")),
            (None, None) => Err(Problem::invalid(
                "The webhook does not name the registry's host: set `registry` below `[hooks.…]` in the manager's \
                 configuration.",
            )),
        }
    }

    fn tag_and_digest(&self) -> Result<(Option<Tag>, Option<Digest>), Problem> {
        let digest = self.digest.map(Field::parsed_if_any).transpose()?.flatten();
        if !self.tag.value.contains(':') {
            return Ok((self.tag.parsed_if_any()?, digest));
        }
        let in_tag: Digest = self.tag.parsed()?;
        match digest {
            Some(digest) if digest != in_tag => Err(self.tag.invalid("the digest fields differ")),
            _ => Ok((None, Some(in_tag))),
        }
    }
}

/// Puts the configured path in front of a name; `{repository}` in it is the product's own repository.
pub(super) fn below_path(settings: &HookSettings, default: &str, repository: &str, name: &str) -> String {
    let path = settings.path.as_deref().unwrap_or(default);
    let path = path.replace("{repository}", repository);
    match path.trim_matches('/') {
        "" => name.to_owned(),
        path => format!("{path}/{name}"),
    }
}
