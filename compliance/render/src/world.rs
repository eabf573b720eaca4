//! All that typst may see: a template, a report, two fonts. Nothing else exists to it.

use anyhow::{Context, Result, anyhow, ensure};
use typst::diag::{FileError, FileResult};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};

const TEMPLATE: &str = include_str!("template.typ");
const REGULAR: &[u8] = include_bytes!("../fonts/NotoSansSC-Regular.ttf");
const BOLD: &[u8] = include_bytes!("../fonts/NotoSansSC-Bold.ttf");

/// The fonts that are in the program.
pub(crate) fn fonts() -> Result<Vec<Font>> {
    let fonts: Vec<Font> = [REGULAR, BOLD].into_iter().flat_map(|data| Font::iter(Bytes::new(data))).collect();
    ensure!(fonts.len() == 2, "a font of the program is damaged");
    Ok(fonts)
}

/// One report to be set.
pub(crate) struct ReportWorld {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    template: Source,
    report: (FileId, Bytes),
}

impl ReportWorld {
    pub(crate) fn new(fonts: Vec<Font>, report: Vec<u8>) -> Result<Self> {
        Ok(Self {
            library: LazyHash::new(Library::builder().build()),
            book: LazyHash::new(FontBook::from_fonts(&fonts)),
            fonts,
            template: Source::new(file("template.typ")?, TEMPLATE.to_owned()),
            report: (file("report.json")?, Bytes::new(report)),
        })
    }
}

fn file(name: &str) -> Result<FileId> {
    let path =
        VirtualPath::new(name).map_err(|error| anyhow!("{error:?}")).context("a path of the program is wrong")?;
    Ok(RootedPath::new(VirtualRoot::Project, path).intern())
}

impl World for ReportWorld {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    fn main(&self) -> FileId {
        self.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.template.id() { Ok(self.template.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        if id == self.report.0 { Ok(self.report.1.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}
