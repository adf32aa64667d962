//! A pin, a block or a recall of an image. Ids are never used again: peers count recalls by them.

use sea_orm::entity::prelude::*;

use super::damaged::RowName;
use crate::model::errors::DamagedRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "image_rules")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// `pin`, `block` or `recall`.
    pub kind: String,
    /// For people: `harbor.example.com/library/nginx:1.27`.
    pub image: String,
    pub registry: String,
    pub repository: String,
    pub tag: Option<String>,
    /// Of its manifest, as far as it was known.
    pub digest: Option<String>,
    /// JSON list: for a recall the objects that were removed, else all objects of the image.
    digests: String,
    /// For people: the name of the token.
    pub created_by: String,
    /// Id of the token; none for rows of versions that did not keep it, and where no token is needed.
    pub created_by_token: Option<String>,
    pub created_ms: i64,
    pub until_ms: Option<i64>,
    pub reason: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The digests of the rule.
    pub(crate) fn list(&self) -> Result<Vec<String>, DamagedRow> {
        let row = RowName {
            table: "image_rules",
            id: &self.id,
        };
        row.json("digests", &self.digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_digests_are_named() {
        let row = Model {
            id: 7,
            kind: "pin".to_owned(),
            image: String::new(),
            registry: String::new(),
            repository: String::new(),
            tag: None,
            digest: None,
            digests: "?!".to_owned(),
            created_by: String::new(),
            created_by_token: None,
            created_ms: 0,
            until_ms: None,
            reason: None,
        };
        let damaged = DamagedRow::new("image_rules", "7".to_owned(), "digests", "?!");
        assert_eq!(row.list(), Err(damaged));
    }
}
