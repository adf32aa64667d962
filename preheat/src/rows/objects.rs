//! A manifest or blob that a preheat's image needs.

use sea_orm::entity::prelude::*;

use super::damaged::RowName;
use crate::model::class::Class;
use crate::model::errors::DamagedRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "objects")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub preheat_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: String,
    /// 0 for manifests and indexes, 1 for configs, 2 for layers: the order in which they are fetched.
    class: i32,
    pub media_type: String,
    pub size: i64,
    pub platform: Option<String>,
    /// The object itself, if seeds do not read it from the registry.
    pub bytes: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn class(&self) -> Result<Class, DamagedRow> {
        let id = format!("{} {}", self.preheat_id, self.digest);
        let row = RowName {
            table: "objects",
            id: &id,
        };
        row.read("class", &self.class, |number| Class::of(*number))
    }
}
