//! XML as a flat list of elements, within bounds; prefixes of namespaces are dropped. Knows nothing of DASH. Entities that a
//! document defines are not known, so none expands.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use super::error::ManifestError;

/// Longest manifest: a day of segments of 6 s, each listed by an address of 60 bytes, takes as much.
pub const MANIFEST_BYTES_MAX: usize = 1024 * 1024;
/// Most elements: `<S d="1"/>` 40,000 times is a day of irregular segments of 2 s. Bounds the memory of the tree to 4 MiB.
const ELEMENTS_MAX: usize = 40_000;
/// Deepest nesting: the schema's deepest element that matters is the 7th.
const DEPTH_MAX: usize = 32;
/// Longest tag: an address and some numbers. Attributes are looked for again and again, so this bounds the time.
const TAG_BYTES_MAX: usize = 16 * 1024;
/// Longest text of an element that is kept: a licence's `pssh`, in base64.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Elements whose text means something.
const WITH_TEXT: [&str; 2] = ["BaseURL", "pssh"];

/// All elements, in the order of their start tags.
pub struct Tree<'a> {
    nodes: Vec<Node<'a>>,
}

struct Node<'a> {
    tag: BytesStart<'a>,
    text: String,
    /// Number of the first element behind this one and all it contains.
    end: usize,
}

/// One element of a tree.
#[derive(Clone, Copy)]
pub struct Element<'t, 'a> {
    tree: &'t Tree<'a>,
    node: &'t Node<'a>,
    number: usize,
}

impl<'a> Tree<'a> {
    /// Reads a document.
    pub fn of(xml: &'a [u8]) -> Result<Self, ManifestError> {
        if xml.len() > MANIFEST_BYTES_MAX {
            return Err(too_much("bytes", MANIFEST_BYTES_MAX));
        }
        let xml = xml.strip_prefix(b"\xef\xbb\xbf").unwrap_or(xml);
        let text = str::from_utf8(xml).map_err(|error| ManifestError::Xml(error.to_string()))?;
        let mut reader = Reader::from_str(text);
        let mut tree = Self { nodes: Vec::new() };
        let mut open: Vec<usize> = Vec::new();
        loop {
            let event = reader.read_event();
            match event.map_err(|error| ManifestError::Xml(error.to_string()))? {
                Event::Start(tag) => {
                    if open.len() >= DEPTH_MAX {
                        return Err(too_much("nesting", DEPTH_MAX));
                    }
                    open.push(tree.nodes.len());
                    tree.push(tag)?;
                }
                Event::Empty(tag) => tree.push(tag)?,
                Event::End(_) => {
                    let end = tree.nodes.len();
                    if let Some(node) = open.pop().and_then(|number| tree.nodes.get_mut(number)) {
                        node.end = end;
                    }
                }
                Event::Text(text) => tree.append(&open, &text.xml10_content())?,
                Event::CData(text) => tree.append(&open, &text.xml10_content())?,
                Event::GeneralRef(name) => tree.append(&open, &referred(&name)?)?,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
                Event::Eof => break,
            }
        }
        if open.is_empty() {
            Ok(tree)
        } else {
            Err(ManifestError::Xml("it ends before its elements do".to_owned()))
        }
    }

    fn push(&mut self, tag: BytesStart<'a>) -> Result<(), ManifestError> {
        if self.nodes.len() >= ELEMENTS_MAX {
            return Err(too_much("elements", ELEMENTS_MAX));
        }
        if tag.attributes_raw().len() > TAG_BYTES_MAX {
            return Err(too_much("bytes of one tag", TAG_BYTES_MAX));
        }
        self.nodes.push(Node {
            tag,
            text: String::new(),
            end: self.nodes.len() + 1,
        });
        Ok(())
    }

    fn append(&mut self, open: &[usize], text: &str) -> Result<(), ManifestError> {
        let Some(node) = open.last().and_then(|number| self.nodes.get_mut(*number)) else {
            return Ok(());
        };
        if WITH_TEXT.contains(&node.tag.local_name().as_ref()) {
            if node.text.len() + text.len() > TEXT_BYTES_MAX {
                return Err(too_much("text of an element", TEXT_BYTES_MAX));
            }
            node.text.push_str(text);
        }
        Ok(())
    }

    /// The outermost element.
    pub fn root(&self) -> Option<Element<'_, 'a>> {
        self.element(0)
    }

    fn element(&self, number: usize) -> Option<Element<'_, 'a>> {
        let node = self.nodes.get(number)?;
        Some(Element {
            tree: self,
            node,
            number,
        })
    }
}

impl<'t, 'a> Element<'t, 'a> {
    /// Without its prefix.
    pub fn name(&self) -> &'t str {
        self.node.tag.local_name().into_inner()
    }

    /// Its place in the document: what is equal for two elements is one.
    pub fn number(&self) -> usize {
        self.number
    }

    /// What is written in it, without the space around it; only of those elements whose text means something.
    pub fn text(&self) -> &'t str {
        self.node.text.trim()
    }

    /// The attribute's value, references resolved. What is not well-formed counts as not there.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let mut attributes = self.node.tag.attributes();
        let found = attributes
            .with_checks(false)
            .flatten()
            .find(|one| one.key.local_name().as_ref() == name)?;
        let value = found.normalized_value(XmlVersion::Explicit1_0).ok()?;
        Some(value.trim().to_owned())
    }

    /// The elements right below.
    pub fn children(&self) -> impl Iterator<Item = Element<'t, 'a>> + use<'t, 'a> {
        let (tree, end) = (self.tree, self.node.end);
        let mut next = self.number + 1;
        std::iter::from_fn(move || {
            let element = tree.element(next).filter(|_| next < end)?;
            next = element.node.end.max(next + 1);
            Some(element)
        })
    }

    /// Those of that name.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = Element<'t, 'a>> + use<'t, 'a, 'n> {
        self.children().filter(move |child| child.name() == name)
    }

    /// The first one of that name.
    pub fn child(&self, name: &str) -> Option<Element<'t, 'a>> {
        self.all(name).next()
    }
}

fn referred(name: &BytesRef<'_>) -> Result<String, ManifestError> {
    if let Ok(Some(character)) = name.resolve_char_ref() {
        return Ok(character.to_string());
    }
    let content = name.xml10_content();
    let known = quick_xml::escape::resolve_predefined_entity(&content);
    let unknown = || ManifestError::Xml(format!("the entity {:?} is not known", cut(&content)));
    known.map(str::to_owned).ok_or_else(unknown)
}

fn too_much(what: &'static str, max: usize) -> ManifestError {
    ManifestError::TooMuch { what, max }
}

/// The beginning of what a manifest says, for messages.
pub fn cut(text: &str) -> String {
    /// Enough to find it again.
    const CHARS_MAX: usize = 80;
    text.chars().take(CHARS_MAX).collect()
}
