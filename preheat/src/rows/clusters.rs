//! A cluster: peers that share with each other. The hello of its first peer creates it; ids are never reused.

use sea_orm::entity::prelude::*;

use super::damaged::RowName;
use crate::model::cluster_settings::ClusterLimits;
use crate::model::errors::DamagedRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "clusters")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    /// JSON; none: as configured.
    limits: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The limits that were set at run time; none: the configured ones hold.
    pub(crate) fn limits(&self) -> Result<Option<ClusterLimits>, DamagedRow> {
        let row = RowName {
            table: "clusters",
            id: &self.id,
        };
        row.optional_json("limits", self.limits.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_limits(limits: Option<&str>) -> Model {
        Model {
            id: 1,
            name: "edge".to_owned(),
            limits: limits.map(str::to_owned),
        }
    }

    #[test]
    fn damaged_limits_are_named_and_never_read_as_none() {
        let damaged = DamagedRow::new("clusters", "1".to_owned(), "limits", "?!");
        assert_eq!(with_limits(Some("?!")).limits(), Err(damaged));
        assert_eq!(
            with_limits(Some("{}")).limits(),
            Ok(Some(ClusterLimits::default()))
        );
        assert_eq!(with_limits(None).limits(), Ok(None));
    }
}
