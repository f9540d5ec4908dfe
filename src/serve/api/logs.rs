//! The operations of CloudWatch Logs that read logs, and the one that deletes a group
//! (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html>).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::error::{ApiError, ApiResult};
use super::input;
use super::paging::{page, with_token};
use super::validate::Mistakes;
use crate::serve::shared::{Place, Shared};
use crate::serve::store::logs::{LogEvent, Stream};

/// Most events of an answer.
const MOST_EVENTS: i64 = 10_000;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_stream_name: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    descending: bool,
    limit: Option<i64>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    start_from_head: bool,
    next_token: Option<String>,
}

impl Request {
    /// The group, by its name or its ARN.
    fn group(&self) -> ApiResult<&str> {
        let named = self.log_group_name.as_deref().or(self.log_group_identifier.as_deref());
        let named = named.ok_or_else(|| ApiError::parameter("logGroupName or logGroupIdentifier must be given."))?;
        let name = named.rsplit_once(":log-group:").map_or(named, |(_, name)| name);
        Ok(name.strip_suffix(":*").unwrap_or(name))
    }

    fn most(&self, default: i64, most: i64) -> ApiResult<usize> {
        let mut mistakes = Mistakes::default();
        mistakes.range(self.limit, "limit", [1, most]);
        mistakes.finish_as(ApiError::parameter)?;
        Ok(usize::try_from(self.limit.unwrap_or(default)).unwrap_or(usize::MAX))
    }
}

/// Carries out one operation.
///
/// # Errors
/// As the service model has them.
pub(super) fn call(shared: &Shared, operation: &str, body: &[u8]) -> ApiResult<Json> {
    match operation {
        "DescribeLogGroups" => groups(shared, &input(body)?),
        "DescribeLogStreams" => streams(shared, &input(body)?),
        "GetLogEvents" => events(shared, &input(body)?),
        "FilterLogEvents" => filtered(shared, &input(body)?),
        "DeleteLogGroup" => delete(shared, &input(body)?),
        _ => Err(ApiError::not_implemented(&format!("Logs_20140328.{operation}"))),
    }
}

fn no_group() -> ApiError {
    ApiError::not_found("The specified log group does not exist.")
}

fn arn(place: &Place, group: &str) -> String {
    super::arn(place, "logs", &format!("log-group:{group}"))
}

fn groups(shared: &Shared, request: &Request) -> ApiResult<Json> {
    let most = request.most(50, 50)?;
    let pattern = request.log_group_name_pattern.as_deref().unwrap_or_default();
    let books = shared.books();
    let prefix = request.log_group_name_prefix.as_deref().unwrap_or_default();
    let named = books.logs.groups(prefix).filter(|(name, _)| name.contains(pattern));
    let all: Vec<Json> = named
        .map(|(name, created_ms)| {
            let arn = arn(&shared.place, name);
            json!({
                "logGroupName": name, "creationTime": created_ms, "metricFilterCount": 0, "storedBytes": 0,
                "arn": format!("{arn}:*"), "logGroupArn": arn, "logGroupClass": "STANDARD",
            })
        })
        .collect();
    let (listed, next) = paged("DescribeLogGroups", all, most, request)?;
    Ok(with_token(json!({ "logGroups": listed }), "nextToken", next))
}

fn paged(list: &str, all: Vec<Json>, most: usize, request: &Request) -> ApiResult<(Vec<Json>, Option<String>)> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    page(list, all, Some(most), request.next_token.as_deref(), |_| {
        ApiError::parameter("The specified nextToken is invalid.")
    })
}

fn streams(shared: &Shared, request: &Request) -> ApiResult<Json> {
    let (group, most) = (request.group()?, request.most(50, 50)?);
    let by_time = match request.order_by.as_deref() {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") => true,
        Some(other) => {
            let mut mistakes = Mistakes::default();
            let constraint = "satisfy enum value set: [LogStreamName, LastEventTime]";
            mistakes.add(Some(other), "orderBy", constraint);
            return Err(mistakes.finish_as(ApiError::parameter).err().unwrap_or_else(no_group));
        }
    };
    if by_time && request.log_stream_name_prefix.is_some() {
        return Err(ApiError::parameter("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let books = shared.books();
    let known = books.logs.streams(group).ok_or_else(no_group)?;
    let prefix = request.log_stream_name_prefix.as_deref().unwrap_or_default();
    let mut named: Vec<(&String, &Stream)> = known.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
    if by_time {
        named.sort_by_key(|(_, stream)| stream.span().map(|(_, last)| last));
    }
    if request.descending {
        named.reverse();
    }
    let arn = arn(&shared.place, group);
    let all = named.into_iter().map(|(name, stream)| shown(&arn, name, stream)).collect();
    let list = format!("DescribeLogStreams {group} {by_time} {} {prefix}", request.descending);
    let (listed, next) = paged(&list, all, most, request)?;
    Ok(with_token(json!({ "logStreams": listed }), "nextToken", next))
}

fn shown(arn: &str, name: &str, stream: &Stream) -> Json {
    let mut shown = json!({
        "logStreamName": name,
        "creationTime": stream.created_ms,
        "arn": format!("{arn}:log-stream:{name}"),
        "uploadSequenceToken": "0",
        "storedBytes": 0,
    });
    if let Some((first, last)) = stream.span() {
        shown["firstEventTimestamp"] = json!(first);
        shown["lastEventTimestamp"] = json!(last);
        shown["lastIngestionTime"] = json!(last);
    }
    shown
}

/// Positions in a stream as tokens of GetLogEvents: `f/` goes on after a position, `b/` before it.
fn position(token: &str) -> Option<(bool, usize)> {
    let (direction, at) = token.split_once('/')?;
    Some((matches!(direction, "f").then_some(true).or((direction == "b").then_some(false))?, at.parse().ok()?))
}

fn events(shared: &Shared, request: &Request) -> ApiResult<Json> {
    let (group, most) = (request.group()?, request.most(MOST_EVENTS, MOST_EVENTS)?);
    let name = request.log_stream_name.as_deref().unwrap_or_default();
    let books = shared.books();
    let known = books.logs.streams(group).ok_or_else(no_group)?;
    let no_stream = || ApiError::not_found("The specified log stream does not exist.");
    let within = known.get(name).ok_or_else(no_stream)?.between(request.start_time, request.end_time);
    let range = match request.next_token.as_deref() {
        Some(token) => {
            let wrong = || ApiError::parameter("The specified nextToken is invalid.");
            let (forward, at) = position(token).ok_or_else(wrong)?;
            let at = at.clamp(within.start, within.end);
            if forward { at..within.end.min(at + most) } else { at.saturating_sub(most).max(within.start)..at }
        }
        None if request.start_from_head => within.start..within.end.min(within.start + most),
        None => within.end.saturating_sub(most).max(within.start)..within.end,
    };
    let read = books.logs.read(group, name, range.clone())?;
    let events: Vec<Json> = read.iter().map(shown_event).collect();
    Ok(json!({
        "events": events,
        "nextForwardToken": format!("f/{:056}", range.end),
        "nextBackwardToken": format!("b/{:056}", range.start),
    }))
}

fn shown_event(event: &LogEvent) -> Json {
    json!({ "timestamp": event.at_ms, "message": event.message, "ingestionTime": event.at_ms })
}

fn filtered(shared: &Shared, request: &Request) -> ApiResult<Json> {
    let (group, most) = (request.group()?, request.most(MOST_EVENTS, MOST_EVENTS)?);
    let terms = terms(request.filter_pattern.as_deref().unwrap_or_default());
    let books = shared.books();
    let known = books.logs.streams(group).ok_or_else(no_group)?;
    let prefix = request.log_stream_name_prefix.as_deref().unwrap_or_default();
    let is_asked = |name: &String| match &request.log_stream_names {
        Some(names) => names.contains(name),
        None => name.starts_with(prefix),
    };
    // Where this page begins in each stream.
    let starts = match request.next_token.as_deref() {
        Some(token) => positions(token).ok_or_else(|| ApiError::parameter("The specified nextToken is invalid."))?,
        None => BTreeMap::new(),
    };
    let asked: Vec<(&String, &Stream, Range<usize>)> = known
        .iter()
        .filter(|(name, _)| is_asked(name))
        .map(|(name, stream)| {
            let within = stream.between(request.start_time, request.end_time);
            let from = starts.get(name).map_or(within.start, |start| (*start).clamp(within.start, within.end));
            (name, stream, from..within.end)
        })
        .collect();
    let order = oldest(&asked, most);
    let mut next = starts;
    let mut pages = Vec::new();
    for (at, (name, _, left)) in asked.iter().enumerate() {
        let taken = order.iter().filter(|of| **of == at).count();
        let page = left.start..left.start + taken;
        next.insert((*name).clone(), page.end);
        let read = books.logs.read(group, name, page.clone())?;
        pages.push(page.zip(read));
    }
    let is_over = asked.iter().map(|(.., left)| left.len()).sum::<usize>() == order.len();
    let mut events = Vec::new();
    for at in order {
        let Some((position, event)) = pages[at].next() else { continue };
        if terms.iter().all(|term| term.accepts(&event.message)) {
            let mut shown = shown_event(&event);
            shown["logStreamName"] = json!(asked[at].0);
            // The same event has the same id in every answer.
            shown["eventId"] = json!(format!("{:020}{position:036}", event.at_ms));
            events.push(shown);
        }
    }
    let token = if is_over { None } else { serde_json::to_string(&next).ok() };
    Ok(with_token(json!({ "events": events, "searchedLogStreams": [] }), "nextToken", token))
}

/// Of which stream each of the oldest events is, in the order of their times.
fn oldest(asked: &[(&String, &Stream, Range<usize>)], most: usize) -> Vec<usize> {
    let time = |at: usize, position: usize| {
        let (_, stream, left) = &asked[at];
        stream.time(position).filter(|_| left.contains(&position)).map(|time| Reverse((time, at, position)))
    };
    let mut heads: BinaryHeap<_> = (0..asked.len()).filter_map(|at| time(at, asked[at].2.start)).collect();
    let mut order = Vec::new();
    while let Some(Reverse((_, at, position))) = heads.pop().filter(|_| order.len() < most) {
        order.push(at);
        heads.extend(time(at, position + 1));
    }
    order
}

fn positions(token: &str) -> Option<BTreeMap<String, usize>> {
    serde_json::from_str(token).ok()
}

/// A word of a filter pattern.
#[derive(Debug, PartialEq, Eq)]
struct Term {
    text: String,
    /// Whether it must not occur.
    excluded: bool,
}

impl Term {
    fn accepts(&self, message: &str) -> bool {
        message.contains(&self.text) != self.excluded
    }
}

/// The words of a pattern, all of which must occur; `-word` must not. Quotes keep white space
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>).
fn terms(pattern: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut rest = pattern.trim();
    while !rest.is_empty() {
        let excluded = rest.starts_with('-') && rest.len() > 1;
        rest = rest.strip_prefix('-').filter(|_| excluded).unwrap_or(rest);
        let (text, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        terms.push(Term { text: text.to_owned(), excluded });
        rest = after.trim_start();
    }
    terms
}

fn delete(shared: &Shared, request: &Request) -> ApiResult<Json> {
    let group = request.group()?;
    if shared.books().logs.delete(group)? { Ok(json!({})) } else { Err(no_group()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_pattern() {
        let accepts = |pattern: &str, message: &str| terms(pattern).iter().all(|term| term.accepts(message));
        assert!(accepts("", "anything"));
        assert!(accepts("exit code", "Container exit code: 1"));
        assert!(accepts("\"exit code: 1\"", "Container exit code: 1"));
        assert!(!accepts("\"exit code: 2\"", "Container exit code: 1"));
        assert!(!accepts("exit -code", "Container exit code: 1"));
        assert!(accepts("-", "a - b"));
    }
}
