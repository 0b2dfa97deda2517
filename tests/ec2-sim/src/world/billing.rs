//! What an image is billed as. Instances launched from it are billed likewise, and images made of those too.

use serde::Deserialize;

use crate::filter::Values;
use crate::xml::Xml;

/// The filters by it that images and instances have.
pub(crate) const FILTERS: [&str; 5] = [
    "platform",
    "platform-details",
    "product-code",
    "product-code.type",
    "usage-operation",
];

/// An operating system's price and the codes of a product's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Billing {
    /// `windows`, or nothing.
    pub(crate) platform: Option<String>,
    pub(crate) details: String,
    pub(crate) operation: String,
    pub(crate) codes: Vec<ProductCode>,
}

/// A product's code.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductCode {
    pub(crate) id: String,
    pub(crate) kind: ProductKind,
}

/// Where a product comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProductKind {
    Marketplace,
    Devpay,
}

impl ProductKind {
    fn word(self) -> &'static str {
        match self {
            Self::Marketplace => "marketplace",
            Self::Devpay => "devpay",
        }
    }
}

impl Default for Billing {
    /// Linux without a price.
    fn default() -> Self {
        Self {
            platform: None,
            details: "Linux/UNIX".to_owned(),
            operation: "RunInstances".to_owned(),
            codes: Vec::new(),
        }
    }
}

impl Billing {
    pub(crate) fn write(&self, xml: &mut Xml) {
        xml.maybe("platform", self.platform.as_ref())
            .text("platformDetails", &self.details)
            .text("usageOperation", &self.operation);
        self.write_codes(xml);
    }

    pub(crate) fn write_codes(&self, xml: &mut Xml) {
        xml.list("productCodes", &self.codes, |xml, code| {
            xml.text("productCode", &code.id).text("type", code.kind.word());
        });
    }

    pub(crate) fn each_value(&self, filter: &str, values: &mut Values<'_>) {
        match filter {
            "platform" => values.maybe(self.platform.as_deref()),
            "platform-details" => values.text(&self.details),
            "product-code" => self.codes.iter().for_each(|code| values.text(&code.id)),
            "product-code.type" => self.codes.iter().for_each(|code| values.text(code.kind.word())),
            _ => values.text(&self.operation),
        }
    }
}
