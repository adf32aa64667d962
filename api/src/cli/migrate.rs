//! `stoker migrate`: brings the database's tables to this version, without starting a manager.

use std::path::PathBuf;

use clap::Args;

use super::output;
use super::stop::Stop;
use crate::config::embedded_database;

/// Migrate the database schema to this version.
///
/// A manager does so when it starts. Use this command to migrate as a separate step.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stoker migrate --data-dir /var/lib/stoker
  stoker migrate --database-url sqlite:/var/lib/stoker/stoker.db")]
pub(crate) struct MigrateArguments {
    /// Folder with the embedded database.
    #[arg(
        long,
        env = "STOKER_DATA_DIR",
        value_name = "DIR",
        required_unless_present = "database_url"
    )]
    data_dir: Option<PathBuf>,
    /// Database URL: sqlite:PATH.
    #[arg(long, env = "STOKER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
}

pub(crate) async fn run(arguments: MigrateArguments) -> Result<(), Stop> {
    let embedded = arguments.data_dir.as_deref().map(embedded_database);
    let Some(url) = arguments.database_url.or(embedded) else {
        return Err(Stop::usage("give --data-dir DIR or --database-url URL"));
    };
    process::files::keep_new_files_private();
    if let Some(folder) = &arguments.data_dir {
        process::files::private_folder(folder)
            .map_err(|error| Stop::failed(format!("{}: {error}", folder.display())))?;
    }
    crate::manager::open_database(&url).await?;
    output::say("The database schema is up to date.");
    Ok(())
}
