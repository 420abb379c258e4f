//! An object store as far as copies need it: list, write, read, remove; each waits for its end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Place;
use object_store::{ObjectStore, ObjectStoreExt as _, ObjectStoreScheme, PutPayload, RetryConfig};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::{CopyError, CopyName};
use crate::stream::checkpoint::{self, CheckpointError};
use crate::stream::disk::{Folder, create_private};

/// How much is sent or asked for at once: a store takes at most 10,000 parts of an object.
const PART_BYTES: usize = 16 << 20;
/// How often and for how long one request is made again before the store counts as away.
const RETRIES_MAX: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// What is fetched before it has its name.
const ASIDE: &str = "copy.new";

/// Where copies are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// `s3://`, `gs://`, `az://` and the like, or the path of a folder.
    pub url: String,
    /// Options of the store.
    pub options: BTreeMap<String, String>,
}

/// An object store, or a folder.
#[derive(Debug)]
pub struct Store {
    url: String,
    store: Arc<dyn ObjectStore>,
    prefix: Place,
    runtime: Runtime,
}

impl Store {
    /// Knows how to reach a store; asks it for nothing. A folder is made.
    ///
    /// # Errors
    ///
    /// [`CopyError::Url`], [`CopyError::Option`].
    pub fn open(options: &StoreOptions) -> Result<Store, CopyError> {
        let url = options.url.clone();
        let (store, prefix) = match Url::parse(&url) {
            Ok(parsed) if parsed.scheme() != "file" => remote(&parsed, &options.options)?,
            Ok(parsed) => local(&PathBuf::from(parsed.path()), options)?,
            Err(url::ParseError::RelativeUrlWithoutBase) => local(Path::new(&url), options)?,
            Err(error) => return Err(CopyError::Url { url, detail: error.to_string() }),
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CopyError::Url { url: url.clone(), detail: error.to_string() })?;
        Ok(Store { url, store, prefix, runtime })
    }

    /// The URL that it was opened with.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn place(&self, name: &str) -> Place {
        self.prefix.clone().join(name)
    }

    /// The copies that are there, the newest first.
    ///
    /// # Errors
    ///
    /// [`CopyError::Store`].
    pub fn list(&self) -> Result<Vec<CopyName>, CopyError> {
        let prefix = Some(&self.prefix).filter(|prefix| !prefix.as_ref().is_empty());
        let listed = self.runtime.block_on(self.store.list_with_delimiter(prefix));
        let listed = listed.map_err(CopyError::store("listing", &self.url))?;
        let names = listed.objects.iter().filter_map(|object| CopyName::read(object.location.filename()?));
        let mut names: Vec<CopyName> = names.collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }

    /// Copies a checkpoint, having checked it; it has its name in the store once it is there as a whole. Answers its length.
    ///
    /// # Errors
    ///
    /// [`CopyError`].
    pub fn copy(&self, from: &Path, name: &CopyName) -> Result<u64, CopyError> {
        // It stays open: another checkpoint may come, and this one go.
        let mut file = File::open(from).map_err(io("opening", from))?;
        checkpoint::check(&here(from), from)?;
        let place = self.place(&name.to_string());
        let sent = self.runtime.block_on(self.send(&mut file, from, &place))?;
        let head = self.runtime.block_on(self.store.head(&place));
        let found = head.map_err(CopyError::store("looking at", &place))?.size;
        if found == sent { Ok(sent) } else { Err(CopyError::Length { at: place.to_string(), found, sent }) }
    }

    async fn send(&self, file: &mut File, from: &Path, to: &Place) -> Result<u64, CopyError> {
        let writing = || CopyError::store("writing", to);
        let first = part(file, from)?;
        if first.len() < PART_BYTES {
            let sent = first.len() as u64;
            self.store.put(to, PutPayload::from(first)).await.map_err(writing())?;
            return Ok(sent);
        }
        let mut upload = self.store.put_multipart(to).await.map_err(writing())?;
        let (mut next, mut sent) = (first, 0);
        while !next.is_empty() {
            sent += next.len() as u64;
            let put = upload.put_part(PutPayload::from(next)).await;
            let read = put.map_err(writing()).and_then(|()| part(file, from));
            match read {
                Ok(part) => next = part,
                Err(error) => {
                    // What cannot be taken back now goes by the bucket's own rules.
                    drop(upload.abort().await);
                    return Err(error);
                }
            }
        }
        upload.complete().await.map_err(writing())?;
        Ok(sent)
    }

    /// Reads a copy into a folder, under the name of a checkpoint, once every byte of it was checked. Answers its path.
    ///
    /// # Errors
    ///
    /// [`CopyError`]; a damaged one gets no name.
    pub fn fetch(&self, name: &CopyName, folder: &Path) -> Result<PathBuf, CopyError> {
        let (place, aside) = (self.place(&name.to_string()), folder.join(ASIDE));
        let mut file = create_private(&aside).map_err(io("writing", &aside))?;
        self.runtime.block_on(self.receive(&place, &mut file, &aside))?;
        file.sync_all().map_err(io("writing", &aside))?;
        let folder = Folder::at(folder);
        checkpoint::check(&folder, &aside)?;
        Ok(checkpoint::take_in(&folder, &aside, name.events)?)
    }

    async fn receive(&self, from: &Place, file: &mut File, to: &Path) -> Result<(), CopyError> {
        let reading = || CopyError::store("reading", from);
        let bytes = self.store.head(from).await.map_err(reading())?.size;
        let mut at = 0;
        while at < bytes {
            let end = bytes.min(at + PART_BYTES as u64);
            let part = self.store.get_range(from, at..end).await.map_err(reading())?;
            file.write_all(&part).map_err(io("writing", to))?;
            at = end;
        }
        Ok(())
    }

    /// Removes the copies behind the newest so many.
    ///
    /// # Errors
    ///
    /// [`CopyError::Store`].
    pub fn keep(&self, newest: usize) -> Result<(), CopyError> {
        for name in self.list()?.into_iter().skip(newest) {
            let place = self.place(&name.to_string());
            let removed = self.runtime.block_on(self.store.delete(&place));
            removed.map_err(CopyError::store("removing", &place))?;
        }
        Ok(())
    }

    /// Leaves a short text beside the copies.
    ///
    /// # Errors
    ///
    /// [`CopyError::Store`].
    pub fn set_text(&self, name: &str, text: &str) -> Result<(), CopyError> {
        let place = self.place(name);
        let put = self.store.put(&place, PutPayload::from(text.as_bytes().to_vec()));
        self.runtime.block_on(put).map(drop).map_err(CopyError::store("writing", &place))
    }

    /// A text that was left; `None`: there is none.
    ///
    /// # Errors
    ///
    /// [`CopyError::Store`].
    pub fn text(&self, name: &str) -> Result<Option<String>, CopyError> {
        let place = self.place(name);
        let read = self.runtime.block_on(async { self.store.get(&place).await?.bytes().await });
        match read {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(CopyError::store("reading", &place)(error)),
        }
    }
}

/// The next part of a file; empty at its end.
fn part(file: &mut File, path: &Path) -> Result<Vec<u8>, CopyError> {
    let mut part = Vec::with_capacity(PART_BYTES);
    file.take(PART_BYTES as u64).read_to_end(&mut part).map_err(io("reading", path))?;
    Ok(part)
}

/// The folder of a file of this machine.
fn here(path: &Path) -> Folder {
    Folder::at(path.parent().unwrap_or(Path::new("")))
}

fn io<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(std::io::Error) -> CopyError + use<'p> {
    move |source| CheckpointError::Io { doing, path: path.to_owned(), source }.into()
}

type Opened = (Arc<dyn ObjectStore>, Place);

fn local(folder: &Path, options: &StoreOptions) -> Result<Opened, CopyError> {
    if let Some(name) = options.options.keys().next() {
        return Err(CopyError::Option { name: name.clone() });
    }
    fs::create_dir_all(folder).map_err(io("making the folder", folder))?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(CopyError::store("opening", folder.display()))?;
    Ok((Arc::new(store.with_fsync(true)), Place::default()))
}

fn remote(url: &Url, options: &BTreeMap<String, String>) -> Result<Opened, CopyError> {
    let wrong = |detail: String| CopyError::Url { url: url.to_string(), detail };
    let (scheme, prefix) = ObjectStoreScheme::parse(url).map_err(|error| wrong(error.to_string()))?;
    // The process has one provider for all its TLS; that it was set before is no fault.
    drop(rustls::crypto::ring::default_provider().install_default());
    let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    let built: Result<Arc<dyn ObjectStore>, object_store::Error> = match scheme {
        ObjectStoreScheme::AmazonS3 => {
            // What is stored is checked by the store; an option can say otherwise.
            let builder = AmazonS3Builder::new().with_checksum_algorithm(Checksum::SHA256);
            let builder = builder.with_url(url.to_string()).with_retry(retry);
            let with = |builder: AmazonS3Builder, key: AmazonS3ConfigKey, value| builder.with_config(key, value);
            configured(builder, options, with)?.build().map(|store| Arc::new(store) as _)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = GoogleCloudStorageBuilder::new().with_url(url.to_string()).with_retry(retry);
            let with =
                |builder: GoogleCloudStorageBuilder, key: GoogleConfigKey, value| builder.with_config(key, value);
            configured(builder, options, with)?.build().map(|store| Arc::new(store) as _)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::new().with_url(url.to_string()).with_retry(retry);
            let with = |builder: MicrosoftAzureBuilder, key: AzureConfigKey, value| builder.with_config(key, value);
            configured(builder, options, with)?.build().map(|store| Arc::new(store) as _)
        }
        _ => return Err(wrong("it is none of S3, Google Cloud Storage, Azure and a folder".to_owned())),
    };
    built.map(|store| (store, prefix)).map_err(|error| wrong(error.to_string()))
}

/// Sets options by their names; one that is not known is refused.
fn configured<B, K: FromStr>(
    builder: B,
    options: &BTreeMap<String, String>,
    with: impl Fn(B, K, String) -> B,
) -> Result<B, CopyError> {
    options.iter().try_fold(builder, |builder, (name, value)| match name.to_ascii_lowercase().parse() {
        Ok(key) => Ok(with(builder, key, value.clone())),
        Err(_) => Err(CopyError::Option { name: name.clone() }),
    })
}
