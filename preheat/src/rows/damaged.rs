//! Columns that hold a type: read here, so that a damaged value is an error that names it and never a default.

use serde::de::DeserializeOwned;
use uuid::Uuid;
use wire::Side;

use crate::model::errors::DamagedRow;

/// One row, for the error of a column that cannot be read.
#[derive(Clone, Copy)]
pub(crate) struct RowName<'a, Id> {
    pub(crate) table: &'static str,
    pub(crate) id: &'a Id,
}

impl<Id: ToString> RowName<'_, Id> {
    pub(crate) fn read<V: ToString + ?Sized, T>(
        self,
        column: &'static str,
        value: &V,
        parse: impl FnOnce(&V) -> Option<T>,
    ) -> Result<T, DamagedRow> {
        parse(value)
            .ok_or_else(|| DamagedRow::new(self.table, self.id.to_string(), column, &value.to_string()))
    }

    pub(crate) fn json<T: DeserializeOwned>(
        self,
        column: &'static str,
        value: &str,
    ) -> Result<T, DamagedRow> {
        self.read(column, value, |value| serde_json::from_str(value).ok())
    }

    /// None where the column is empty.
    pub(crate) fn optional_json<T: DeserializeOwned>(
        self,
        column: &'static str,
        value: Option<&str>,
    ) -> Result<Option<T>, DamagedRow> {
        value.map(|value| self.json(column, value)).transpose()
    }

    pub(crate) fn uuid(self, column: &'static str, value: &str) -> Result<Uuid, DamagedRow> {
        self.read(column, value, |value| value.parse().ok())
    }

    pub(crate) fn side(self, value: Option<&str>) -> Result<Option<Side>, DamagedRow> {
        let of = |word: &str| Side::ALL.into_iter().find(|side| side.word() == word);
        value.map(|value| self.read("side", value, of)).transpose()
    }
}

/// Skips a damaged row in a list: it is logged, and the other rows are used.
pub(crate) fn or_skip<T>(read: Result<T, DamagedRow>) -> Option<T> {
    read.inspect_err(|damaged| {
        tracing::error!(
            stoker.side = "manager",
            table = damaged.table,
            row = damaged.id,
            column = damaged.column,
            value = damaged.value,
            "damaged row skipped"
        );
    })
    .ok()
}
