//! Picking the resources of a describe call: by id, by filter, page by page.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::Ec2Error;
use crate::filter::{Filterable, Filters, View};
use crate::params::Params;

/// How a describe call names its resources and how long its pages may be.
pub(crate) struct DescribeRules {
    /// The list parameter that holds ids.
    pub(crate) ids: &'static str,
    /// What AWS calls that parameter in messages.
    pub(crate) ids_in_messages: &'static str,
    pub(crate) page_sizes: RangeInclusive<usize>,
    /// Whether a given id must have the form of one, else the answer to a malformed one.
    pub(crate) check_id: fn(&str) -> Result<(), Ec2Error>,
    /// The answer to ids that name nothing.
    pub(crate) not_found: fn(&[&str]) -> Ec2Error,
}

/// What a describe call found.
pub(crate) struct Found<'a, R> {
    pub(crate) resources: Vec<&'a R>,
    pub(crate) next_token: Option<String>,
}

/// Where a page starts and ends.
#[derive(Debug, Default)]
struct Paging {
    size: Option<usize>,
    after: Option<String>,
}

/// Finds the resources that a call describes, in the order of their ids. One id that names nothing
/// visible fails the whole call. A page token holds the last id of its page, so a page costs its own
/// length and not the length of all before it.
pub(crate) fn find<'a, K, R>(
    all: &'a BTreeMap<K, R>,
    params: &Params,
    rules: &DescribeRules,
    view: View<'_>,
    visible: impl Fn(&R) -> bool,
) -> Result<Found<'a, R>, Ec2Error>
where
    K: Ord + Borrow<str>,
    R: Filterable,
{
    let filters = Filters::read::<R>(params)?;
    let ids = params.list(rules.ids);
    let paging = Paging::read(params, rules, !ids.is_empty())?;
    if !ids.is_empty() {
        let resources = named(all, &ids, rules, &visible)?;
        let resources = resources
            .into_iter()
            .filter(|found| filters.match_all(*found, view))
            .collect();
        return Ok(Found {
            resources,
            next_token: None,
        });
    }
    let start = paging.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut matching = all
        .range::<str, _>((start, Bound::Unbounded))
        .filter(|(_, found)| visible(found) && filters.match_all(*found, view));
    let Some(size) = paging.size else {
        return Ok(Found {
            resources: matching.map(|(_, found)| found).collect(),
            next_token: None,
        });
    };
    let mut resources = Vec::new();
    let mut last = None;
    for (id, found) in matching.by_ref().take(size) {
        resources.push(found);
        last = Some(id.borrow());
    }
    let next_token = if matching.next().is_some() {
        last.map(token)
    } else {
        None
    };
    Ok(Found {
        resources,
        next_token,
    })
}

/// As [`find`], when nothing hides resources.
pub(crate) fn find_in<'a, R: Filterable>(
    all: &'a BTreeMap<&str, R>,
    params: &Params,
    rules: &DescribeRules,
    view: View<'_>,
) -> Result<Found<'a, R>, Ec2Error> {
    find(all, params, rules, view, |_| true)
}

fn named<'a, K, R>(
    all: &'a BTreeMap<K, R>,
    ids: &[&str],
    rules: &DescribeRules,
    visible: impl Fn(&R) -> bool,
) -> Result<Vec<&'a R>, Ec2Error>
where
    K: Ord + Borrow<str>,
{
    for id in ids {
        (rules.check_id)(id)?;
    }
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for id in ids {
        match all.get(*id).filter(|resource| visible(resource)) {
            Some(resource) => {
                found.insert(*id, resource);
            }
            None => missing.push(*id),
        }
    }
    if missing.is_empty() {
        Ok(found.into_values().collect())
    } else {
        Err((rules.not_found)(&missing))
    }
}

impl Paging {
    fn read(params: &Params, rules: &DescribeRules, has_ids: bool) -> Result<Self, Ec2Error> {
        let size = params.bounded("MaxResults", &rules.page_sizes)?;
        if has_ids && size.is_some() {
            return Err(Ec2Error::invalid_combination(format!(
                "The parameter {} cannot be used with the parameter maxResults",
                rules.ids_in_messages
            )));
        }
        let after = params
            .text("NextToken")
            .filter(|text| !text.is_empty())
            .map(read_token)
            .transpose()?;
        Ok(Self { size, after })
    }
}

const TOKEN_START: &str = "after:";

fn token(last: &str) -> String {
    BASE64.encode(format!("{TOKEN_START}{last}"))
}

fn read_token(text: &str) -> Result<String, Ec2Error> {
    BASE64
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix(TOKEN_START).map(str::to_owned))
        .ok_or_else(|| Ec2Error::new("InvalidNextToken", format!("The token '{text}' is invalid")))
}
