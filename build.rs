//! Packs the pages that the server serves: those of `src/api/pages`, and Swagger UI out of the crate that carries it.
//!
//! Each is kept twice, as it is and by gzip, with the tag by which a browser knows whether it has it already. What comes
//! out is one table, `pages.rs`, for `src/api/pages.rs` to include. Nothing is fetched.

use std::fmt::Write as _;
use std::io::{Cursor, Read, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

/// Where the pages are, below this directory.
const SOURCES: &str = "src/api/pages";
/// What is served: the path, the file (ours, or one of Swagger UI's `dist`), and what it is.
const FILES: [(&str, &str, &str); 9] = [
    ("/", "home.html", "text/html; charset=utf-8"),
    ("/docs", "docs.html", "text/html; charset=utf-8"),
    ("/docs/docs.css", "docs.css", "text/css; charset=utf-8"),
    ("/docs/docs.js", "docs.js", "text/javascript; charset=utf-8"),
    ("/docs/swagger-ui-bundle.js", "swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("/docs/swagger-ui.css", "swagger-ui/swagger-ui.css", "text/css; charset=utf-8"),
    ("/favicon.ico", "favicon.svg", "image/svg+xml"),
    ("/home.js", "home.js", "text/javascript; charset=utf-8"),
    ("/style.css", "style.css", "text/css; charset=utf-8"),
];

fn main() {
    println!("cargo::rerun-if-changed={SOURCES}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    let mut table = format!("const PAGES: [Page; {}] = [\n", FILES.len());
    for (path, file, content_type) in FILES {
        let bytes = match file.strip_prefix("swagger-ui/") {
            Some(file) => swagger_ui(file),
            None => own(file),
        };
        let (plain, packed) = (out.join(file.replace('/', "-")), out.join(file.replace('/', "-") + ".gz"));
        write(&plain, &bytes);
        write(&packed, &gzip(&bytes));
        // A checksum tells apart what one path has ever served: no more is asked of a tag.
        let tag = format!("{:08x}{:x}", crc32fast::hash(&bytes), bytes.len());
        writeln!(
            table,
            "Page {{ path: {path:?}, content_type: {content_type:?}, tag: {:?}, plain: include_bytes!({plain:?}), \
             gzip: Some(({:?}, include_bytes!({packed:?}))) }},",
            format!("\"{tag}\""),
            format!("\"{tag}-gzip\""),
        )
        .expect("a String takes everything");
    }
    write(&out.join("pages.rs"), (table + "];\n").as_bytes());
}

/// One of our own, with the version put in.
fn own(file: &str) -> Vec<u8> {
    let path = Path::new(SOURCES).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace("{{version}}", &env::var("CARGO_PKG_VERSION").expect("cargo says the version")).into_bytes()
}

/// One of Swagger UI's, as it was released, less the line that points at a source map that is not here.
fn swagger_ui(file: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)).expect("the crate carries an archive");
    let inside = format!("/dist/{file}");
    let names = archive.file_names().map(|name| name.expect("a name").into_owned());
    let name = { names }.find(|name| name.ends_with(&inside)).expect("the archive has the file");
    let mut text = String::new();
    archive.by_name(&name).expect("it was there").read_to_string(&mut text).expect("it is text");
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains("sourceMappingURL=")).collect();
    assert!(!kept.is_empty() && kept.iter().map(|line| line.len()).sum::<usize>() > text.len() / 2, "{file} is whole");
    kept.join("\n").into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
