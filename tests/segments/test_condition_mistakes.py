"""A corpus of mistakes in conditions, each with its line, path and cause; nothing else may be reported beside them.

Line 1 is the condition's first. The path is counted from `members`; the mapping that holds the condition stands on the
line of its key, line 0.
"""

import pytest

from transforms.identity.channels import channels
from transforms.segments.grammar import MAX_DEPTH

NESTED = "{not: " * MAX_DEPTH + "{event: A}" + "}" * MAX_DEPTH
FORMS = (
    "expected one of all, any, not, attribute, event, sequence, segment, identified, reachable, consented, bucket, near"
    "; found "
)

IN_WHERE = (
    "after, at_least, at_most, before, between, contains, ends_with, exists, in, is, is_not, less_than, matches"
    ", more_than, not_in, starts_with, version_at_least, version_less_than"
)
IN_WHERE_BY_KIND = (
    "is, is_not, in, not_in, exists, at_least, at_most, more_than, less_than, between, contains, starts_with"
    ", ends_with, matches, version_at_least, version_less_than, before, after"
)

CORPUS = {
    # The shape of a condition
    "hello": [(0, "", "expected a condition such as {event: Order Completed}; found text")],
    "[{event: A}]": [(0, "", "expected a condition such as {event: Order Completed}; found a list")],
    "~": [(0, "", "found nothing")],
    "3.5": [(0, "", "found a number")],
    "false": [(0, "", "found true or false")],
    "{}": [(0, "", FORMS + "nothing")],
    "{evnt: A}": [(0, "", FORMS + "`evnt`")],
    "{event: A, segment: s}": [(0, "", FORMS + "`event` and `segment`")],
    "{all: [{event: A}], any: [{event: B}]}": [(0, "", FORMS + "`all` and `any`")],
    "{all: {event: A}}": [(1, "all", "expected a list of conditions; found a mapping")],
    "{any: []}": [(1, "any", "found an empty list")],
    "{all: [{event: A}], within: 1h}": [(1, "within", "unknown key `within`; allowed are all")],
    "not: [{event: A}]": [(1, "not", "expected a condition")],
    NESTED: [(1, ".".join(["not"] * MAX_DEPTH), "conditions nest at most 32 deep")],
    # Events
    "{event: ''}": [(1, "event", "expected text; found empty text")],
    "{event: 5}": [(1, "event", "expected text; found a number")],
    "{event: A, wihtin: 7d}": [(1, "wihtin", "unknown key `wihtin`; allowed are average, count, distinct, event,")],
    "{event: A, type: purchase}": [(1, "type", 'expected one of track, page, screen; found "purchase"')],
    "{event: A, within: 3 months}": [(1, "within", "months and years have no fixed length")],
    "{event: A, within: 1y}": [(1, "within", 'write days or weeks, such as 30d or 52w, not "1y"')],
    "{event: A, within: 90}": [(1, "within", "expected a duration such as 30s, 15m, 2h, 7d or 4w; found 90")],
    "{event: A, within: [7d]}": [(1, "within", 'found ["7d"]')],
    "{event: A, within: 0s}": [(1, "within", "a duration must be longer than zero")],
    "{event: A, within: 999999999w}": [(1, "within", "at most a hundred years")],
    "{event: A, since: 2026-07-01T00:00:00}": [(1, "since", "expected an ISO 8601 time with a zone, or a date")],
    "{event: A, since: 2026-02-30}": [(1, "since", 'there is no such time; found "2026-02-30"')],
    "{event: A, since: 2026-07-01T24:30:00Z}": [(1, "since", "there is no such time")],
    "{event: A, since: [1]}": [(1, "since", "found [1]")],
    "{event: A, within: 7d, since: 2026-07-01}": [(1, "since", "`within` and `since` do not go together")],
    # Aggregates
    "{event: A, count: 3}": [(1, "count", "expected a mapping with at_least, at_most, between")],
    "{event: A, count: {}}": [
        (1, "count", "expected one of is, at_least, at_most, more_than, less_than, between; found none")
    ],
    "{event: A, count: {atleast: 2}}": [(1, "count.atleast", "unknown key `atleast`")],
    "{event: A, count: {at_least: 2, at_most: 3}}": [(1, "count", "found at_least and at_most")],
    "{event: A, count: {is: -1}}": [(1, "count.is", "expected a whole number from 0 to 1,000,000,000; found -1")],
    "{event: A, count: {is: 2.5}}": [(1, "count.is", "expected a whole number from 0 to 1,000,000,000; found 2.5")],
    "{event: A, count: {is: true}}": [(1, "count.is", "expected a whole number from 0 to 1,000,000,000; found true")],
    "{event: A, count: {is: [1]}}": [(1, "count.is", "expected a whole number from 0 to 1,000,000,000; found [1]")],
    "{event: A, count: {less_than: 0}}": [(1, "count.less_than", "can never hold: no count is below zero")],
    "{event: A, count: {between: [3, 2]}}": [(1, "count.between", "can never hold: 3 is above 2")],
    "{event: A, count: {between: [3]}}": [(1, "count.between", "expected [low, high]; found [3]")],
    "{event: A, count: {between: 3}}": [(1, "count.between", "expected a list of two whole numbers; found a number")],
    "{event: A, count: {between: [a, 3]}}": [(1, "count.between[0]", "expected a whole number")],
    "{event: A, count: {is: 1}, last: {within: 1d}}": [(0, "", "expected one aggregate; found count and last")],
    "{event: A, first: 7d}": [(1, "first", "expected a mapping with older_than, within; found text")],
    "{event: A, first: {older: 7d}}": [(1, "first.older", "unknown key `older`")],
    "{event: A, last: {}}": [(1, "last", "expected one of within, older_than; found none")],
    "{event: A, last: {within: 7d, older_than: 1d}}": [(1, "last", "found within and older_than")],
    "{event: A, within: 7d, last: {within: 1d}}": [(1, "within", "`last` is of all time; `within` beside it")],
    "{event: A, since: 2026-07-01, first: {within: 1d}}": [(1, "since", "`first` is of all time; `since` beside it")],
    "{event: A, missing: B}": [(1, "missing", "expected a mapping with event, same, type, where, within; found text")],
    "{event: A, missing: {event: B}}": [(1, "missing", "`within` is missing")],
    "{event: A, missing: {within: 1d}}": [(1, "missing", "`event` is missing")],
    "{event: A, within: 2h, missing: {event: B, within: 2h}}": [(1, "missing", "can never hold: the event leaves")],
    "{event: A, first: {within: 1d}, same: x}": [(1, "same", "`same` goes with `count`, `sum` and `missing`, not")],
    "{event: A, average: {of: n, is: 1}, same: x}": [(1, "same", "not with `average`")],
    "{event: A, same: x, missing: {event: B, within: 1d}}": [(1, "same", "`same` stands inside `missing`")],
    "{event: A, count: {is: 1}, same: a..b}": [(1, "same", "expected a path")],
    "{event: A, missing: {event: B, within: 1d, same: 5}}": [(1, "missing.same", "expected text; found a number")],
    "{event: A, sum: 5}": [
        (1, "sum", "expected a mapping with at_least, at_most, between, is, less_than, more_than, of")
    ],
    "{event: A, sum: {at_least: 5}}": [(1, "sum", "`of` is missing")],
    "{event: A, sum: {of: n}}": [(1, "sum", "expected one of is, at_least,")],
    "{event: A, sum: {of: n, at_least: 5, at_most: 6}}": [(1, "sum", "found at_least and at_most")],
    "{event: A, sum: {of: n, at_least: many}}": [(1, "sum.at_least", 'expected a number; found "many"')],
    "{event: A, sum: {of: n, is: true}}": [(1, "sum.is", "expected a number; found true")],
    "{event: A, sum: {of: n, atleast: 5}}": [(1, "sum.atleast", "unknown key `atleast`")],
    "{event: A, minimum: {of: n, between: [5, a]}}": [(1, "minimum.between", 'expected two numbers; found [5, "a"]')],
    "{event: A, maximum: {of: n, between: [5, 1]}}": [(1, "maximum.between", "can never hold: 5 is above 1")],
    "{event: A, average: {of: n, between: 5}}": [(1, "average.between", "expected a list of two numbers")],
    "{event: A, average: {of: 'n[', is: 5}}": [(1, "average.of", "expected a path")],
    "{event: A, sum: {of: n, is: 1}, count: {is: 1}}": [(0, "", "expected one aggregate; found count and sum")],
    "{event: A, since: 1970-05-05, sum: {of: n, is: 1}}": [(1, "since", "before 1973 a date is not exact here")],
    "{event: A, since: 1970-05-05, count: {more_than: 1001}}": [(1, "since", "write a time with a zone")],
    "{event: A, count: {is: 2000000000}}": [(1, "count.is", "from 0 to 1,000,000,000")],
    "{event: A, distinct: {at_least: 5}}": [(1, "distinct", "`of` is missing")],
    "{event: A, distinct: {of: n, is: 2.5}}": [(1, "distinct.is", "expected a whole number from 0 to 10,000")],
    "{event: A, distinct: {of: n, at_least: 10001}}": [
        (1, "distinct.at_least", "expected a whole number from 0 to 10,000")
    ],
    "{event: A, distinct: {of: n, more_than: 10000}}": [(1, "distinct", "can never hold: the newest 10,000 values")],
    "{event: A, distinct: {of: n, less_than: 0}}": [
        (1, "distinct.less_than", "can never hold: no count is below zero")
    ],
    # Sequences
    "{sequence: A}": [(1, "sequence", "expected a list of events, one after another; found text")],
    "{sequence: []}": [(1, "sequence", "found an empty list")],
    "{sequence: [{event: A}]}": [(1, "sequence", "a sequence needs two events")],
    "{sequence: [{event: A}, B]}": [(1, "sequence[1]", "expected a mapping with event, type, where, within")],
    "{sequence: [{event: A}, {type: page}]}": [(1, "sequence[1]", "`event` is missing")],
    "{sequence: [{event: A, within: 1d}, {event: B}]}": [(1, "sequence[0].within", "nothing comes before the first")],
    "{sequence: [{event: A}, {event: B, since: 2026-01-01}]}": [(1, "sequence[1].since", "unknown key `since`")],
    "{sequence: [{event: A}, {event: B, same: x}]}": [(1, "sequence[1].same", "unknown key `same`")],
    "{sequence: [{event: A}, {event: B}], same: x}": [(1, "same", "unknown key `same`; allowed are sequence, within")],
    "{sequence: [{event: A}, {event: B}], within: 2 months}": [(1, "within", "months and years have no fixed length")],
    "{sequence: [{event: A}, {event: B}], event: A}": [(0, "", FORMS + "`sequence` and `event`")],
    # Properties of events
    "{event: A, where: total}": [(1, "where", "expected {PATH: {operator: value}}; found text")],
    "{event: A, where: {}}": [(1, "where", "expected {PATH: {operator: value}}")],
    "{event: A, where: {total: 5}}": [
        (1, "where.total", f"expected a mapping with {IN_WHERE}; found a number; write {{is: 5}}")
    ],
    "{event: A, where: {total: {}}}": [(1, "where.total", f"expected an operator: {IN_WHERE_BY_KIND}")],
    "{event: A, where: {total: {equals: 5}}}": [
        (1, "where.total.equals", f"unknown key `equals`; allowed are {IN_WHERE}; did you mean `is`?")
    ],
    "{event: A, where: {currency: JPY}}": [(1, "where.currency", "write {is: JPY}")],
    "{event: A, where: {currency: [JPY, 'US D', '1']}}": [(1, "where.currency", 'write {in: [JPY, US D, "1"]}')],
    "{event: A, where: {currency: ~}}": [(1, "where.currency", "write {exists: false}")],
    "{event: A, where: {shop: {city: {is: Kyoto}}}}": [
        (1, "where.shop.city", "a property of it is `shop.city`, and of one element of a list `shop[]: {city: …}`")
    ],
    "{event: A, where: {'products[]': {price: 5}}}": [(1, "where.products[].price", "unknown key `price`")],
    "{event: A, where: {'products[]': {price: {atleast: 5}}}}": [
        (1, "where.products[].price.atleast", "did you mean `at_least`?")
    ],
    "{event: A, where: {'products[]': {price: {at_least: 5}, exists: true}}}": [
        (1, "where.products[].exists", "the operator `exists` and properties of one element do not go together")
    ],
    "{event: A, where: {'products[]': {price: {within: 5d}}}}": [
        (1, "where.products[].price.within", "moves with the clock")
    ],
    "{event: A, where: {'products[]': {'a*b': {is: 5}, c: {is: 1}}}}": [
        (1, "where.products[].a*b", "of names, dots and []")
    ],
    "{event: A, where: {a..b: {is: 5}}}": [(1, "where.a..b", "expected a path such as revenue or products[].category")],
    "{event: A, where: {'a[0]': {is: 5}}}": [(1, "where.a[0]", "expected a path")],
    "{event: A, where: {at: {within: 1d}}}": [(1, "where.at.within", "moves with the clock and is not for `where`")],
    "{event: A, where: {at: {before: 2026-07-01}}}": [(1, "where.at.before", "in `where` a time needs a zone")],
    "{event: A, where: {at: {within_next: 1d}}}": [(1, "where.at.within_next", "moves with the clock")],
    "{event: A, where: {at: {anniversary: true}}}": [(1, "where.at.anniversary", "moves with the clock")],
    # Attributes and operators
    "{attribute: plan}": [(0, "", "expected one of is, is_not, in,")],
    "{attribute: plan, equals: pro}": [(1, "equals", "unknown key `equals`; allowed are after, anniversary,")],
    "{attribute: plan, is: pro, is_not: free}": [(0, "", "found is and is_not")],
    "{attribute: '', is: pro}": [(1, "attribute", "expected text; found empty text")],
    "{attribute: 'a.[]', is: pro}": [(1, "attribute", "expected a path")],
    "{attribute: context.page.url, is: x}": [(1, "attribute", "not kept of the context; kept are context.locale,")],
    "{attribute: plan, is: ~}": [(1, "is", "expected text, a number, true or false; found nothing")],
    "{attribute: plan, is_not: [pro]}": [(1, "is_not", "expected text, a number, true or false; found a list")],
    "{attribute: plan, in: pro}": [(1, "in", "expected a list of values; found text")],
    "{attribute: plan, not_in: []}": [(1, "not_in", "expected a list of values; found an empty list")],
    "{attribute: plan, in: [pro, {a: b}]}": [(1, "in[1]", "expected text, a number, true or false; found a mapping")],
    "{attribute: plan, exists: 1}": [(1, "exists", "expected true or false; found a number")],
    "{attribute: plan, exists: yes}": [(1, "exists", "expected true or false; found text")],
    "{attribute: age, at_least: true}": [(1, "at_least", "true and false have no order; use `is`")],
    "{attribute: age, more_than: .inf}": [(1, "more_than", "not a finite number: .inf")],
    "{attribute: age, is: .nan}": [(1, "is", "not a finite number: .nan")],
    "{attribute: age, between: [9, 1]}": [(1, "between", "can never hold: 9 is above 1")],
    "{attribute: age, between: [1, b]}": [(1, "between", 'found [1, "b"]')],
    "{attribute: age, between: [1, 2, 3]}": [(1, "between", "expected [low, high]")],
    "{attribute: plan, starts_with: 5}": [(1, "starts_with", "expected text; found a number")],
    "{attribute: plan, matches: '(a'}": [(1, "matches", "not an RE2 pattern: missing ): (a")],
    r"{attribute: plan, matches: '(a)\1'}": [(1, "matches", r"not an RE2 pattern: invalid escape sequence: \1")],
    "{attribute: plan, matches: '(?=a)'}": [(1, "matches", "not an RE2 pattern: invalid perl operator: (?=")],
    "{attribute: since, before: 2026-07-01 10:00}": [(1, "before", "expected an ISO 8601 time with a zone, or a date")],
    "{attribute: since, within: 1 month}": [(1, "within", "months and years have no fixed length")],
    "{attribute: ends, within_next: 2026-07-01}": [(1, "within_next", "expected a duration")],
    "{attribute: born, anniversary: false}": [(1, "anniversary", "expected true or {before: D}")],
    "{attribute: born, anniversary: 7d}": [(1, "anniversary", "expected a mapping with before; found text")],
    "{attribute: born, anniversary: {after: 7d}}": [
        (1, "anniversary", "`before` is missing"),
        (1, "anniversary.after", "unknown key `after`"),
    ],
    "{attribute: born, anniversary: {before: 36h}}": [(1, "anniversary.before", "expected whole days, at most 365d")],
    "{attribute: born, anniversary: {before: 366d}}": [(1, "anniversary.before", 'at most 365d; found "366d"')],
    "{attribute: v, version_at_least: 2.10}": [
        (1, "version_at_least", "a number needs quotes, since 2.10 would be 2.1")
    ],
    "{attribute: v, version_less_than: v2}": [(1, "version_less_than", 'expected a version such as "2.10.1"; found')],
    "{attribute: v, version_less_than: '2.'}": [(1, "version_less_than", 'found "2."')],
    "{bucket: 10}": [(1, "bucket", "expected a mapping with below, from, salt; found a number")],
    "{bucket: {salt: x, below: 10}}": [(1, "bucket", "`from` is missing")],
    "{bucket: {salt: '', from: 0, below: 10}}": [(1, "bucket.salt", "expected text; found empty text")],
    "{bucket: {salt: x, from: -1, below: 10}}": [(1, "bucket.from", "expected a number from 0 to 100; found -1")],
    "{bucket: {salt: x, from: 0, below: 101}}": [(1, "bucket.below", "expected a number from 0 to 100; found 101")],
    "{bucket: {salt: x, from: true, below: 10}}": [(1, "bucket.from", "found true")],
    "{bucket: {salt: x, from: 10, below: 10}}": [
        (1, "bucket", "can never hold: nobody is at or above 10 and below 10")
    ],
    "{near: home}": [(1, "near", "expected a mapping with attribute, latitude, longitude, within_km; found text")],
    "{near: {attribute: home, latitude: 1, longitude: 2}}": [(1, "near", "`within_km` is missing")],
    "{near: {attribute: home, latitude: 91, longitude: 2, within_km: 1}}": [
        (1, "near.latitude", "expected a number from -90 to 90; found 91")
    ],
    "{near: {attribute: home, latitude: 1, longitude: 181, within_km: 1}}": [(1, "near.longitude", "-180 to 180")],
    "{near: {attribute: home, latitude: 1, longitude: 2, within_km: -1}}": [(1, "near.within_km", "0 to 20,100")],
    "{near: {attribute: context.os, latitude: 1, longitude: 2, within_km: 1}}": [
        (1, "near.attribute", "no place is kept there; the context's is context.location")
    ],
    # Contacts, consent and segments
    "{identified: maybe}": [(1, "identified", "expected true or false; found text")],
    "{reachable: fax}": [(1, "reachable", f'expected one of {", ".join(channels())}; found "fax"')],
    "{reachable: [push]}": [(1, "reachable", 'found ["push"]')],
    "{consented: news}": [(1, "consented", "expected a mapping with channel, topic; found text")],
    "{consented: {topic: news}}": [(1, "consented", "`channel` is missing")],
    "{consented: {topic: news, channel: fax}}": [(1, "consented.channel", "expected one of email, inbox,")],
    "{segment: vip}": [(1, "segment", "refers to segment `vip`, which does not exist")],
    "{segment: 5}": [(1, "segment", "expected text; found a number")],
    "{not: {segment: s}}": [(0, "", "segments refer to each other in a circle: s → s")],
    # Text that is none
    r'{event: "\ud83d"}': [(1, "event", "half of a surrogate pair")],
    r'{attribute: "a\udc00", is: 1}': [(1, "attribute", "half of a surrogate pair")],
}


#: What somebody who is new to the language writes, and the words that mend it.
TYPOS = {
    "[{event: A}, {event: B}]": "several are {all: […]} or {any: […]}",
    "Order Completed": "write {event: Order Completed} or {segment: …}",
    "{and: [{event: A}]}": "did you mean `all`?",
    "{or: [{event: A}]}": "did you mean `any`?",
    "{trait: plan, is: pro}": "did you mean `attribute`?",
    "{Event: A}": "did you mean `event`?",
    "{all: {event: A}}": "write all: [{…}]",
    "{not: [{event: A}]}": "several are {all: […]} or {any: […]}",
    "{event: [A, B]}": "write {any: [{event: …}, …]}",
    "{segment: [a, b]}": "write {any: [{segment: …}, …]}",
    "{event: A, count: 3}": "write {at_least: 3}",
    "{event: A, count: [1, 3]}": "write {between: [1, 3]}",
    "{event: A, count: {'>=': 3}}": "did you mean `at_least`?",
    "{event: A, count: {gt: 3}}": "did you mean `more_than`?",
    "{event: A, at_least: 3}": "did you mean `count`?",
    "{event: A, times: 3}": "did you mean `count`?",
    "{event: A, avg: {of: n, is: 3}}": "did you mean `average`?",
    "{event: A, properties: {n: {is: 3}}}": "did you mean `where`?",
    "{event: A, sum: revenue}": "write {of: revenue, at_least: 3}",
    "{event: A, sum: 1000}": "write {of: revenue, at_least: 1000}",
    "{event: A, sum: {property: n, is: 1, of: n}}": "did you mean `of`?",
    "{event: A, sum: {of: a * b, at_least: 1}}": "expected a path such as revenue or products[].category",
    "{event: A, sum: {of: price + tax, at_least: 1}}": "of names, dots and []",
    "{event: A, average: {of: sum(price), at_least: 1}}": "of names, dots and []",
    "{event: A, distinct: {of: a - b, at_least: 1}}": "of names, dots and []",
    "{event: A, minimum: {of: ' price', at_least: 1}}": "of names, dots and []",
    "{event: A, maximum: {of: '$.price', at_least: 1}}": None,
    "{event: A, same: price > 5}": "of names, dots and []",
    "{event: A, missing: {event: B, within: 1h, same: 'a, b'}}": "of names, dots and []",
    "{event: A, where: {price >= 5: {exists: true}}}": "of names, dots and []",
    "{event: A, distinct: product_id}": "write {of: product_id, at_least: 3}",
    "{event: A, last: 30d}": "write {within: 30d} or {older_than: 30d}",
    "{event: A, missing: Order Completed}": "write {event: Order Completed, within: 1h}",
    "{sequence: [A, {event: B}]}": "write {event: A}",
    "{event: A, within: 7 days}": "write 7d",
    "{event: A, within: 24 hours}": "write 24h",
    "{event: A, within: P7D}": "write 7d",
    "{event: A, within: 90D}": "write 90d",
    "{event: A, within: 2 weeks}": "write 2w",
    "{event: A, in_last: 7d}": "did you mean `within`?",
    "{attribute: {plan: pro}, is: pro}": "write {attribute: plan, is: pro}",
    "{attribute: plan, is: [pro, gold]}": "for one of several write `in: [pro, gold]`",
    "{attribute: plan, is: ~}": "for a missing value write `exists: false`",
    "{attribute: plan, in: pro}": "write [pro]",
    "{attribute: plan, one_of: [pro]}": "did you mean `in`?",
    "{attribute: age, greater_than: 5}": "did you mean `more_than`?",
    "{attribute: plan, regex: p}": "did you mean `matches`?",
    "{attribute: first name!, is: x}": "of names, dots and []",
    "{consented: marketing}": "write {topic: marketing, channel: email}",
    "{bucket: 10}": "write {salt: any text, from: 0, below: 10}",
}


@pytest.mark.parametrize("condition", TYPOS)
def test_a_mistake_says_what_to_write(mistakes_in, condition):
    hint = TYPOS[condition]
    assert hint is None or hint in "\n".join(cause for *_, cause in mistakes_in(condition))
    assert hint is not None or mistakes_in(condition) == []


@pytest.mark.parametrize("condition", CORPUS)
def test_each_mistake_is_found_at_its_place_and_nothing_else(mistakes_in, condition):
    found, expected = mistakes_in(condition), CORPUS[condition]
    assert [(line, path) for line, path, _ in found] == [(line, path) for line, path, _ in expected], found
    for (_, _, cause), (_, _, part) in zip(found, expected, strict=True):
        assert part in cause


def test_every_mistake_is_reported_at_once_in_the_order_of_lines(mistakes_in):
    found = mistakes_in("""\
all:
  - any:
      - {event: A, within: 3 months}
      - {event: A, count: {at_least: many}, type: click}
  - not:
      attribute: plan
      matches: "("
  - {segment: nobody}
  - {consented: {topic: news}}
  - {event: A, where: {"a[]b": {is: 1}, total: {equals: 5}}}""")
    assert [(line, path) for line, path, _ in found] == [
        (3, "all[0].any[0].within"),
        (4, "all[0].any[1].count.at_least"),
        (4, "all[0].any[1].type"),
        (7, "all[1].not.matches"),
        (8, "all[2].segment"),
        (9, "all[3].consented"),
        (10, "all[4].where.a[]b"),
        (10, "all[4].where.total.equals"),
    ]


#: Conditions at the edge of what is allowed.
ALLOWED = [
    NESTED[len("{not: ") : -1],
    "{event: A, within: 36600d}",
    "{event: A, count: {between: [0, 1000]}}",
    "{event: A, count: {between: [5, 1000000000]}, same: x}",
    "{event: any, type: page, within: 1d}",
    "{event: any, missing: {event: any, where: {x: {is: 1}}, within: 1d}}",
    "{event: A, same: x}",
    "{event: A, since: 1970-05-05T00:00:00Z, sum: {of: 'lines[].price', less_than: -0.5}, same: x}",
    "{event: A, since: 1973-01-01, average: {of: n, between: [1, 1]}}",
    "{event: A, distinct: {of: n, at_most: 10000}}",
    "{sequence: [{event: A}, {event: any, type: page, where: {x: {exists: true}}, within: 1d}]}",
    "{attribute: born, anniversary: {before: 365d}}",
    "{attribute: v, version_at_least: '0'}",
    "{bucket: {salt: x, from: 0, below: 0.001}}",
    "{near: {attribute: 'homes[]', latitude: -90, longitude: 180.0, within_km: 0}}",
    "{near: {attribute: context.location, latitude: 1, longitude: 2, within_km: 1.5}}",
    "{event: A, count: {at_least: 0}}",
    "{event: A, count: {is: 3.0}}",
    "{event: A, within: 2h, missing: {event: B, within: 119m}}",
    "{event: A, where: {at: {before: '2026-07-01T00:00:00+09:00'}}}",
    "{attribute: 'a[].b[].c', between: [1, 1.5]}",
    "{attribute: context.location.city, is: Kyoto}",
    "{attribute: n, is: 123456789012345678901234567890}",
    "{attribute: n, is: 1e300}",
    "{event: A, where: {'products[]': {category: {is: sushi}, price: {at_least: 1000}}}}",
    "{event: A, where: {'orders[].lines[]': {'tags[]': {starts_with: a}, 'parts[]': {n: {exists: false}}}}}",
    "{event: A, where: {'products[]': {is: {is: 5}}}}",
    "{event: A, sum: {of: $revenue, at_least: 1}, same: utm-source}",
    "{event: A, distinct: {of: '商品[].カテゴリー', at_least: 1}}",
    "{attribute: First Name, is: Ada}",
    "{attribute: og:title, is: '1'}",
]


@pytest.mark.parametrize("condition", ALLOWED)
def test_what_is_just_allowed(mistakes_in, condition):
    assert mistakes_in(condition) == []
