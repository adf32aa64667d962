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
    /// JSON list: of a recall those that went, else all that the image needs.
    pub digests: String,
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
