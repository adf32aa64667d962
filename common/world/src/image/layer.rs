//! One layer: a tar with one file, hashed while it is written. Gzip stores it without compression: it would not compress.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use flate2::Crc;
use sha2::{Digest as _, Sha256};

use super::blobs::{blob_path, name_of};
use super::content::Content;

/// Fits in one stored block of gzip (65,535 bytes) and is a multiple of a tar's 512.
const CHUNK: usize = 127 * 512;
const TAR_BLOCK: u64 = 512;
const TAR_END: [u8; 1024] = [0; 1024];
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const GZIP_LAST_BLOCK: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// One layer of each platform.
#[derive(Debug, Clone, Copy)]
pub struct LayerSpec {
    /// Size of the tar: at least 2,048 and a multiple of 512, else rounded up.
    pub size: u64,
    /// Gzipped, as in most images; the blob is then about 0.01 % larger than the tar. Otherwise the blob is the tar.
    pub gzip: bool,
    /// The same bytes in every platform.
    pub shared: bool,
}

impl LayerSpec {
    /// A gzipped layer.
    pub fn of(size: u64) -> Self {
        Self {
            size,
            gzip: true,
            shared: false,
        }
    }

    /// A layer whose blob is a tar of exactly this size (see [`LayerSpec::size`]).
    pub fn plain(size: u64) -> Self {
        Self {
            gzip: false,
            ..Self::of(size)
        }
    }

    #[must_use]
    pub fn shared(self) -> Self {
        Self { shared: true, ..self }
    }
}

/// A layer as written.
pub(super) struct Layer {
    pub(super) digest: String,
    pub(super) size: u64,
    /// Digest of the tar.
    pub(super) diff_id: String,
    pub(super) gzip: bool,
}

/// Writes the layer among the blobs of the layout `dir`.
pub(super) fn write(dir: &Path, spec: LayerSpec, seed: u64, label: &str) -> std::io::Result<Layer> {
    let being_written = dir.join(label.replace('/', "-"));
    let mut blob = Blob::create(&being_written, spec.gzip)?;
    let tar_size = spec.size.next_multiple_of(TAR_BLOCK).max(2048);
    let file_size = tar_size - TAR_BLOCK - TAR_END.len() as u64;
    blob.put(header(label, file_size)?.as_bytes())?;
    let mut content = Content::new(seed, label);
    let mut buffer = vec![0; CHUNK];
    let mut left = file_size;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        content.fill(&mut buffer[..now]);
        blob.put(&buffer[..now])?;
        left -= now as u64;
    }
    blob.put(&TAR_END)?;
    let layer = blob.end()?;
    std::fs::rename(being_written, blob_path(dir, &layer.digest))?;
    Ok(layer)
}

fn header(label: &str, size: u64) -> std::io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(format!("data/{label}.bin"))?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(1_700_000_000);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

/// The file that the layer becomes, and the hashes of it and of the tar in it.
struct Blob {
    file: BufWriter<File>,
    hash: Sha256,
    size: u64,
    diff: Sha256,
    gzip: Option<Crc>,
}

impl Blob {
    fn create(path: &Path, gzip: bool) -> std::io::Result<Self> {
        let mut blob = Self {
            file: BufWriter::with_capacity(1 << 20, File::create(path)?),
            hash: Sha256::new(),
            size: 0,
            diff: Sha256::new(),
            gzip: gzip.then(Crc::new),
        };
        if gzip {
            blob.write(&GZIP_HEAD)?;
        }
        Ok(blob)
    }

    /// Takes the next bytes of the tar.
    fn put(&mut self, tar: &[u8]) -> std::io::Result<()> {
        let Some(crc) = &mut self.gzip else {
            return self.write(tar);
        };
        crc.update(tar);
        self.diff.update(tar);
        let length = u16::try_from(tar.len()).expect("a chunk fits in one stored block");
        let [low, high] = length.to_le_bytes();
        self.write(&[0, low, high, !low, !high])?;
        self.write(tar)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn end(mut self) -> std::io::Result<Layer> {
        let mut diff_id = None;
        if let Some(crc) = self.gzip.take() {
            self.write(&GZIP_LAST_BLOCK)?;
            self.write(&crc.sum().to_le_bytes())?;
            self.write(&crc.amount().to_le_bytes())?;
            diff_id = Some(name_of(&self.diff.finalize_reset()));
        }
        self.file.flush()?;
        let digest = name_of(&self.hash.finalize());
        Ok(Layer {
            gzip: diff_id.is_some(),
            diff_id: diff_id.unwrap_or_else(|| digest.clone()),
            digest,
            size: self.size,
        })
    }
}
