//! `searchCriteria[…]` in a query: filters within a group are joined by or, groups by and (developer guide on search).

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use crate::sandbox::call::Call;
use crate::sandbox::records::Row;
use crate::sandbox::stamp;

/// Groups, filters and sorts read from one call, at most.
const MOST: usize = 50;

/// One filter.
#[derive(Default, Clone)]
struct Filter {
    field: String,
    value: String,
    condition: String,
}

/// What a call asks for.
#[derive(Default)]
pub(super) struct Criteria {
    groups: Vec<Vec<Filter>>,
    /// Fields, and whether each is descending.
    sorts: Vec<(String, bool)>,
    /// 0 for no limit.
    pub size: usize,
    pub page: usize,
}

impl Criteria {
    /// None where the query says nothing of them; the error names the parameter that is wrong.
    pub fn read(call: &Call) -> Result<Option<Self>, String> {
        let mut criteria = Self { page: 1, ..Self::default() };
        let mut is_there = false;
        for (name, value) in &call.query {
            let Some(rest) = name.strip_prefix("searchCriteria").or_else(|| name.strip_prefix("search_criteria"))
            else {
                continue;
            };
            is_there = true;
            let parts: Vec<&str> = rest.split(['[', ']']).filter(|p| !p.is_empty()).collect();
            let number = |text: &str| text.parse::<usize>().ok().filter(|n| *n < MOST).ok_or_else(|| name.clone());
            match parts.as_slice() {
                ["filter_groups" | "filterGroups", group, "filters", place, part] => {
                    let filters = at(&mut criteria.groups, number(group)?);
                    let filter = at(filters, number(place)?);
                    match *part {
                        "field" => filter.field.clone_from(value),
                        "value" => filter.value.clone_from(value),
                        "condition_type" | "conditionType" => filter.condition.clone_from(value),
                        _ => return Err(name.clone()),
                    }
                }
                ["sortOrders" | "sort_orders", place, part] => {
                    let sort = at(&mut criteria.sorts, number(place)?);
                    match *part {
                        "field" => sort.0.clone_from(value),
                        "direction" => sort.1 = value.eq_ignore_ascii_case("desc"),
                        _ => return Err(name.clone()),
                    }
                }
                ["pageSize" | "page_size"] => criteria.size = value.parse().map_err(|_| name.clone())?,
                ["currentPage" | "current_page"] => criteria.page = value.parse().map_err(|_| name.clone())?,
                [] => {}
                _ => return Err(name.clone()),
            }
        }
        Ok(is_there.then_some(criteria))
    }

    /// Whether a record is meant.
    pub fn fits(&self, row: &Row) -> bool {
        self.groups.iter().all(|group| group.is_empty() || group.iter().any(|filter| filter.holds(&row.body)))
    }

    /// Sorts as it was asked, else by id.
    pub fn sort(&self, rows: &mut [Arc<Row>]) {
        rows.sort_by_key(|row| row.number);
        for (field, is_down) in self.sorts.iter().rev() {
            rows.sort_by(|a, b| {
                let order = compare(&text(a.body.get(field)), &text(b.body.get(field)));
                if *is_down { order.reverse() } else { order }
            });
        }
    }
}

fn at<T: Default + Clone>(list: &mut Vec<T>, place: usize) -> &mut T {
    if list.len() <= place {
        list.resize(place + 1, T::default());
    }
    // It was made long enough just now.
    &mut list[place]
}

impl Filter {
    fn holds(&self, body: &Value) -> bool {
        let is = body.pointer(&format!("/{}", self.field.replace('.', "/")));
        let text = text(is);
        let order = compare(&text, &self.value);
        let is_null = is.is_none_or(Value::is_null);
        match self.condition.as_str() {
            "" | "eq" => order == Ordering::Equal,
            "neq" => order != Ordering::Equal,
            "gt" => !is_null && order == Ordering::Greater,
            "gteq" | "from" => !is_null && order != Ordering::Less,
            "lt" => !is_null && order == Ordering::Less,
            "lteq" | "to" => !is_null && order != Ordering::Greater,
            "in" | "finset" => self.value.split(',').any(|v| v.trim() == text),
            "nin" => !self.value.split(',').any(|v| v.trim() == text),
            "null" => is_null,
            "notnull" => !is_null,
            "like" => text.to_lowercase().contains(&self.value.trim_matches('%').to_lowercase()),
            _ => false,
        }
    }
}

/// A field's text; truth is 1 or 0, as in the database.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(truth)) => u8::from(*truth).to_string(),
        Some(other) => other.to_string(),
    }
}

/// Numbers and instants by size, all else as text.
fn compare(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => match (stamp::read(a, 0), stamp::read(b, 0)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.cmp(b),
        },
    }
}
