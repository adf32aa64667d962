//! The key that signs what peers only carry: Ed25519, in the manager's data folder.

use std::path::Path;

use process::files::private_file;
use wire::SigningKey;

use super::key_error::KeyError;

/// Reads the key (PKCS#8) in `file`, or makes one there (mode 0600).
pub fn signing_key(file: &Path) -> Result<SigningKey, KeyError> {
    let name = file.display().to_string();
    let document = private_file(file, SigningKey::generate_pkcs8).map_err(|error| KeyError::File {
        file: name.clone(),
        error,
    })?;
    SigningKey::from_pkcs8(&document).ok_or(KeyError::NotAKey { file: name })
}
