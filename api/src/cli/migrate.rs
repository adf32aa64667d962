//! `stoker migrate`: brings the database's tables to this version, without starting a manager.

use std::path::PathBuf;

use clap::Args;

use super::output;
use super::stop::Stop;
use crate::config::embedded_database;

/// Bring the database's tables to this version.
///
/// A manager does it by itself when it starts; this is for those who want it as a step of its own.
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
    /// The database itself: sqlite:PATH.
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
    output::say("The database is at this version.");
    Ok(())
}
