//! What the server makes of bytes: the specification of its HTTP/1.1, as a table of plain data.
//!
//! The unit tests of `src/http` read it as parser input; tests over sockets send the same bytes. A case's
//! bytes are one connection's, from its first; they are spent by the requests expected of them, but for the last
//! one if that is refused or incomplete.

/// One connection's bytes, and what is in them.
pub struct Case {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub expect: Vec<Expect>,
}

/// One request, as it should be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    Request {
        method: &'static str,
        path: &'static str,
        query: Option<&'static str>,
        body: Vec<u8>,
        keep_alive: bool,
    },
    /// An answer with this status, then the end of the connection.
    Refused(u16),
    /// The server waits for more; with 100 Continue on its way if `continues`.
    Incomplete {
        continues: bool,
    },
}

/// All cases.
pub fn cases() -> Vec<Case> {
    [requests(), lines(), targets(), headers(), hosts(), framing(), chunks(), expectations(), bounds(), noise()]
        .into_iter()
        .flatten()
        .collect()
}

fn requests() -> Vec<Case> {
    vec![
        case("a GET", "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", [get("/health")]),
        case("a HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", [request("HEAD", "/", "")]),
        case(
            "a POST with a body",
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
            [request("POST", "/x", "{}")],
        ),
        case(
            "a POST that says nothing of a body has none",
            "POST /x HTTP/1.1\r\nHost: a\r\n\r\n",
            [request("POST", "/x", "")],
        ),
        case(
            "a GET may have a body",
            "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nz",
            [request("GET", "/x", "z")],
        ),
        case(
            "a known method that nothing here has",
            "DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n",
            [request("other", "/x", "")],
        ),
        case("OPTIONS with a path", "OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n", [request("other", "/x", "")]),
        case(
            "two requests at once",
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            [get("/1"), get("/2")],
        ),
        case(
            "a body is not the next request",
            "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\nGET /2 HTTP/1.1\r\n\r\
             GET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
            [request("POST", "/1", "GET /2 HTTP/1.1\r\n\r"), get("/3")],
        ),
        case(
            "a good request before a bad one is answered",
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
            [get("/1"), Expect::Refused(400)],
        ),
        case("Connection: close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", [closing("/")]),
        case("Connection in any case", "GET / HTTP/1.1\r\nHost: a\r\ncOnnection: CLOSE\r\n\r\n", [closing("/")]),
        case(
            "Connection is a list",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE,\t close , x\r\n\r\n",
            [closing("/")],
        ),
        case(
            "Connection over several headers",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
            [closing("/")],
        ),
        case(
            "Connection over several headers, the other way round",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
            [closing("/")],
        ),
        case(
            "a token is not found within another",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: closed, xclose\r\n\r\n",
            [get("/")],
        ),
        case("HTTP/1.0 closes", "GET / HTTP/1.0\r\n\r\n", [closing("/")]),
        case(
            "HTTP/1.0 closes even when asked not to",
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            [closing("/")],
        ),
        case("HTTP/1.0 may have a Host", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", [closing("/")]),
        case("one empty line before a request is skipped", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", [get("/")]),
        case(
            "an empty line after a body is skipped",
            "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            [request("POST", "/1", "{}"), get("/2")],
        ),
        case("two empty lines are not", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", [Expect::Refused(400)]),
        case("nothing", "", [waits()]),
        case("half an empty line", "\r", [waits()]),
        case("half a line", "GET /hea", [waits()]),
        case("a head without its end", "GET / HTTP/1.1\r\nHost: a\r\n", [waits()]),
        case("a body without its end", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{}", [waits()]),
    ]
}

fn lines() -> Vec<Case> {
    vec![
        refused("HTTP/0.9", "GET /\r\n", 400),
        refused("HTTP/0.9 by its name", "GET / HTTP/0.9\r\n\r\n", 505),
        refused("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        refused("HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        refused("the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        refused("a version of two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
        refused("a version without its minor number", "GET / HTTP/1\r\nHost: a\r\n\r\n", 400),
        refused("a version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        refused("another protocol", "GET / RTSP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("two spaces after the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("a space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        refused("a space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("a tab for a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("a line that ends with LF alone", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        refused("a line that ends with CR alone", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
        refused("a line that ends with CR CR LF", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400),
        refused("an empty line of LF alone", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("a method in lower case", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        refused("a method that nobody knows", "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        refused("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
        refused("a method with a byte that no token has", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("no method", "/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ]
}

fn targets() -> Vec<Case> {
    let mut cases = vec![
        case(
            "a query",
            "GET /locks?prefix=a&limit=2 HTTP/1.1\r\nHost: a\r\n\r\n",
            [query("/locks", "prefix=a&limit=2")],
        ),
        case("an empty query", "GET /locks? HTTP/1.1\r\nHost: a\r\n\r\n", [query("/locks", "")]),
        case("a query with a question mark", "GET /a?b?c HTTP/1.1\r\nHost: a\r\n\r\n", [query("/a", "b?c")]),
        case("percent-encoding is kept as it is", "GET /%61%zz%2F HTTP/1.1\r\nHost: a\r\n\r\n", [get("/%61%zz%2F")]),
        case("two slashes are a path", "GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n", [get("//b/c")]),
        case("an absolute target", "GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n", [query("/x", "y")]),
        case(
            "an absolute target, https, any case, a port",
            "GET HTTPS://b:8443/x HTTP/1.1\r\nHost: a\r\n\r\n",
            [get("/x")],
        ),
        case("an absolute target without a path", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", [get("/")]),
        case(
            "an absolute target with a query alone",
            "GET http://a?x=/ HTTP/1.1\r\nHost: a\r\n\r\n",
            [query("/", "x=/")],
        ),
        case("an absolute target on IPv6", "GET http://[::1]:80/x HTTP/1.1\r\nHost: a\r\n\r\n", [get("/x")]),
        refused("an absolute target still needs a Host", "GET http://a/x HTTP/1.1\r\n\r\n", 400),
        case("OPTIONS with the asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", [request("other", "*", "")]),
        refused("the asterisk with another method", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("an asterisk and more", "OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("an authority", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("a path without its slash", "GET health HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("another scheme", "GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("an absolute target without a host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("an absolute target with a user", "GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("an absolute target with a bad port", "GET http://a:b/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("a target of UTF-8", "GET /é HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("a target that is no UTF-8", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        refused("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ];
    for byte in b"\0\x01\x08\t\x0b\x0c\x1b\x7f\x80\x9f\"<>\\^`{|}" {
        let bytes = [b"GET /a", &[*byte][..], b"b HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        cases.push(refused("a byte that no URI has, in the target", &bytes, 400));
    }
    cases
}

fn headers() -> Vec<Case> {
    let mut cases = vec![
        case("white space around a value", "GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n", [get("/")]),
        case("no white space", "GET / HTTP/1.1\r\nHost:a\r\nX:\r\n\r\n", [get("/")]),
        case(
            "names in any case",
            "POST / HTTP/1.1\r\nhOST: a\r\nCONTENT-LENGTH: 1\r\n\r\nz",
            [request("POST", "/", "z")],
        ),
        case("bytes above ASCII in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: é\r\n\r\n", [get("/")]),
        case(
            "any visible byte in a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX: !\"#$%&'()*+,/:;<=>?@[\\]^_`{|}~\r\n\r\n",
            [get("/")],
        ),
        refused("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400),
        refused("a line folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", 400),
        refused("a first line that is folded", "GET / HTTP/1.1\r\n X: b\r\nHost: a\r\n\r\n", 400),
        refused("a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        refused("a space within a name", "GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", 400),
        refused("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400),
        refused("no name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
        refused("a name of UTF-8", "GET / HTTP/1.1\r\nHost: a\r\né: b\r\n\r\n", 400),
        refused("a header that ends with LF alone", "GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n", 400),
        refused("an empty line of LF alone, after headers", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        refused("a header that ends with CR alone", "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", 400),
        refused("an empty line of CR alone", "GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", 400),
        refused("a header that ends with CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\r\n\r\n", 400),
        refused(
            "two Authorization headers",
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nauthorization: Bearer x\r\n\r\n",
            400,
        ),
    ];
    for byte in (0..0x20).filter(|b| !b"\t\r\n".contains(b)).chain([0x7f]) {
        let value = [b"GET / HTTP/1.1\r\nHost: a\r\nX: b", &[byte][..], b"c\r\n\r\n"].concat();
        cases.push(refused("a control byte in a value", &value, 400));
        let name = [b"GET / HTTP/1.1\r\nHost: a\r\nX", &[byte][..], b": c\r\n\r\n"].concat();
        cases.push(refused("a control byte in a name", &name, 400));
    }
    for byte in b"\"(),/;<=>?@[\\]{}" {
        let name = [b"GET / HTTP/1.1\r\nHost: a\r\nX", &[*byte][..], b"Y: c\r\n\r\n"].concat();
        cases.push(refused("a byte that no token has, in a name", &name, 400));
    }
    cases
}

fn hosts() -> Vec<Case> {
    let mut cases = vec![
        refused("no Host in HTTP/1.1", "GET / HTTP/1.1\r\n\r\n", 400),
        refused("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        refused("the same Host twice", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
        refused("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        refused("a bad Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400),
    ];
    for good in ["a", "a:80", "a:", "A-1.example.org.", "127.0.0.1:3000", "[::1]", "[2001:db8::1]:65535", "a_b~c"] {
        cases.push(case("a Host", format!("GET / HTTP/1.1\r\nHost: {good}\r\n\r\n"), [get("/")]));
    }
    for bad in [
        "",
        ":80",
        "a b",
        "a,b",
        "a/b",
        "a?b",
        "a#b",
        "u@a",
        "a:b",
        "a:-1",
        "a:65536",
        "a:123456",
        "a:80:80",
        "a\\b",
        "é",
        "%61",
        "[::1",
        "::1",
        "[]",
        "[::1]x",
        "[::g]",
        "[fe80::1%25eth0]",
        "http://a",
    ] {
        cases.push(refused("a bad Host", format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n"), 400));
    }
    cases.push(refused("an endless Host", format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(300)), 400));
    cases
}

fn framing() -> Vec<Case> {
    let mut cases = vec![
        case("a length of 0", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", [request("POST", "/", "")]),
        case(
            "leading zeros",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 002\r\n\r\n{}",
            [request("POST", "/", "{}")],
        ),
        case(
            "a length in HTTP/1.0",
            "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}",
            [Expect::Request { method: "POST", path: "/", query: None, body: b"{}".to_vec(), keep_alive: false }],
        ),
        refused("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        refused(
            "the same length twice",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            400,
        ),
        refused(
            "a length and chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        refused(
            "chunks and a length",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400,
        ),
        refused(
            "chunked in two headers",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        refused("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        refused("a space before a length's colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}", 400),
    ];
    for bad in [
        "",
        "+2",
        "-2",
        "2,2",
        "2, 2",
        "2 2",
        "0x2",
        "2.0",
        "2;",
        "1e1",
        "two",
        "\"2\"",
        "２",
        "18446744073709551616",
        "99999999999999999999",
        "00000000000000000002",
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {bad}\r\n\r\n{{}}");
        cases.push(refused("a length that is none", bytes, 400));
    }
    for bad in [
        "",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked, identity",
        "chunked,",
        ",chunked",
        "\"chunked\"",
        "chunked;q=1",
        "xchunked",
        "chunkedx",
        "chunked chunked",
        "\u{b}chunked",
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {bad}\r\n\r\n0\r\n\r\n");
        cases.push(refused("a coding that is not chunked alone", bytes, 400));
    }
    cases
}

fn chunked(rest: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{rest}").into_bytes()
}

fn chunks() -> Vec<Case> {
    let good = |name, rest: &str, body: &str| case(name, chunked(rest), [request("POST", "/", body)]);
    let mut cases = vec![
        good("no chunk but the last", "0\r\n\r\n", ""),
        good("one chunk", "2\r\n{}\r\n0\r\n\r\n", "{}"),
        good("several chunks", "1\r\n{\r\n3\r\n\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n", "{\"a\":1}"),
        good(
            "sizes in upper and lower case",
            "A\r\n0123456799\r\na\r\nabcdefghij\r\n0\r\n\r\n",
            "0123456799abcdefghij",
        ),
        good("leading zeros of a size", "0002\r\n{}\r\n000\r\n\r\n", "{}"),
        good("extensions are dropped", "2;a;b=c;d=\"e f\"\r\n{}\r\n0;x\r\n\r\n", "{}"),
        good("a quoted extension may have anything", "2;a=\"\\\"; = \té\";b\r\n{}\r\n0\r\n\r\n", "{}"),
        good("trailers are dropped", "2\r\n{}\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n", "{}"),
        good("data that looks like framing", "7\r\n0\r\n\r\n0\r\r\n0\r\n\r\n", "0\r\n\r\n0\r"),
        case(
            "the coding in any case",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n1\r\nz\r\n0\r\n\r\n",
            [request("POST", "/", "z")],
        ),
        case(
            "a request after chunks",
            [chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()].concat(),
            [request("POST", "/", "abcde"), get("/2")],
        ),
        case("chunks without the last", chunked("2\r\n{}\r\n"), [waits()]),
        case("chunks without the end of the trailers", chunked("2\r\n{}\r\n0\r\nX: y\r\n"), [waits()]),
    ];
    for bad in [
        "\r\n",
        ";x\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1\t\r\n",
        "1 ;x\r\n",
        "1,1\r\n",
        "1\n",
        "1\r",
        "1\r\r\n",
        "1;x\n",
        "1;x\rz",
        "1;\0\r\n",
        "00000000000000002\r\n",
        "10000000000000000\r\n",
        "fffffffffffffffff\r\n",
    ] {
        cases.push(refused("a chunk's line that is none", chunked(&format!("{bad}z\r\n0\r\n\r\n")), 400));
    }
    for bad in [
        "1;",
        "1;;x",
        "1;x;",
        "1;=y",
        "1;x=",
        "1; x",
        "1;x =y",
        "1;x= y",
        "1;x y",
        "1;x=\"y",
        "1;x=\"y\"z",
        "1;x=y\"z\"",
        "1;é",
        "1;x=\"\u{7f}\"",
    ] {
        cases.push(refused("an extension that is none", chunked(&format!("{bad}\r\nz\r\n0\r\n\r\n")), 400));
    }
    for bad in [
        "1\r\nzz\r\n0\r\n\r\n",
        "2\r\nz\r\n0\r\n\r\n",
        "1\r\nz\n0\r\n\r\n",
        "1\r\nz\r0\r\n\r\n",
        "1\r\nz0\r\n\r\n",
        "1\r\nz\rX0\r\n\r\n",
    ] {
        cases.push(refused("a chunk that is not as long as it says", chunked(bad), 400));
    }
    for bad in ["\r\n\r\n", ";x\r\n\r\n"] {
        cases.push(refused("a chunk without a size is not the last", chunked(bad), 400));
    }
    for bad in
        ["X\r\n\r\n", "X : y\r\n\r\n", "X: y\n\r\n", "X: y\r\n z\r\n\r\n", "X: \0\r\n\r\n", "\n", "X: y\r\n\n", "\rX"]
    {
        cases.push(refused("trailers that are no header lines", chunked(&format!("0\r\n{bad}")), 400));
    }
    cases
}

fn expectations() -> Vec<Case> {
    let continues = || Expect::Incomplete { continues: true };
    vec![
        case(
            "a client that waits for leave",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n",
            [continues()],
        ),
        case(
            "a client that waits for leave to send chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
            [continues()],
        ),
        case(
            "a client that does not wait for the leave it asks for",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{",
            [waits()],
        ),
        case(
            "leave to send nothing",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
            [request("POST", "/", "")],
        ),
        case(
            "HTTP/1.0 expects nothing",
            "POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
            [waits()],
        ),
        case(
            "before the head has ended there is no leave",
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n",
            [waits()],
        ),
        refused(
            "no leave for a head that is refused",
            "POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
            400,
        ),
        refused(
            "no leave for a body that is too long",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16385\r\nExpect: 100-continue\r\n\r\n",
            413,
        ),
        refused("another expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417),
        case("another expectation in HTTP/1.0", "GET / HTTP/1.0\r\nExpect: 200-ok\r\n\r\n", [closing("/")]),
        refused("another expectation too", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n", 417),
        refused("an empty expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n", 417),
    ]
}

fn bounds() -> Vec<Case> {
    let long = |n: usize| "x".repeat(n);
    let headed = |n: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(n - rest))
    };
    let many = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(n - 1));
    let body = |n: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {n}\r\n\r\n{}", long(n));
    let trailer = |n: usize| chunked(&format!("0\r\nX: {}\r\n\r\n", long(n - "X: \r\n\r\n".len())));
    let extended = |n: usize| chunked(&format!("1;{}\r\nz\r\n0\r\n\r\n", long(n - 1)));
    let bytewise = |n: usize| chunked(&format!("{}0\r\n\r\n", "1\r\nz\r\n".repeat(n)));
    vec![
        case(
            "the longest target",
            format!("GET http://a/{}?q HTTP/1.1\r\nHost: a\r\n\r\n", "%61".repeat(679)),
            [Expect::Request { method: "GET", path: LONGEST_PATH, query: Some("q"), body: vec![], keep_alive: true }],
        ),
        refused("a longer target", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(2048)), 414),
        refused("a target without end", format!("GET /{}", long(20_000)), 414),
        refused("a method without end", long(20_000), 501),
        case("the longest head", headed(16384), [get("/")]),
        case("the longest head, after an empty line", format!("\r\n{}", headed(16384)), [get("/")]),
        refused("a longer head", headed(16385), 431),
        refused("a head without end", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", long(20_000)), 431),
        case("as many headers as allowed", many(64), [get("/")]),
        refused("one header more", many(65), 431),
        case("the longest body", body(16384), [request("POST", "/", &long(16384))]),
        refused("a longer body, before it is read", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16385\r\n\r\n", 413),
        refused("a body of 2^63", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", 413),
        case(
            "the longest chunk",
            chunked(&format!("4000\r\n{}\r\n0\r\n\r\n", long(16384))),
            [request("POST", "/", &long(16384))],
        ),
        refused("a longer chunk, before it is read", chunked("4001\r\n"), 413),
        refused("a chunk of 2^64 - 1", chunked("ffffffffffffffff\r\n"), 413),
        refused("chunks that grow too long", chunked(&format!("3fff\r\n{}\r\n2\r\n", long(16383))), 413),
        case("the longest extension", extended(256), [request("POST", "/", "z")]),
        refused("a longer extension", extended(257), 400),
        refused("an extension without end", chunked(&format!("1;{}", long(9000))), 400),
        case("the longest trailers", trailer(1024), [request("POST", "/", "")]),
        refused("longer trailers", trailer(1025), 431),
        refused("trailers without end", chunked(&format!("0\r\nX: {}", long(9000))), 431),
        case("chunks of a byte each", bytewise(1000), [request("POST", "/", &"z".repeat(1000))]),
        refused("more framing than the longest body", bytewise(2000), 413),
    ]
}

const LONGEST_PATH: &str = {
    const BYTES: [u8; 1 + 3 * 679] = {
        let mut bytes = [b'/'; 1 + 3 * 679];
        let mut i = 0;
        while i < 679 {
            bytes[1 + 3 * i] = b'%';
            bytes[2 + 3 * i] = b'6';
            bytes[3 + 3 * i] = b'1';
            i += 1;
        }
        bytes
    };
    match str::from_utf8(&BYTES) {
        Ok(path) => path,
        Err(_) => panic!("ASCII"),
    }
};

fn noise() -> Vec<Case> {
    vec![
        refused("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        refused("the first byte of a TLS hello", b"\x16", 400),
        refused("zeros", b"\0\0\0\0", 400),
        refused("JSON", "{\"ttl_seconds\":1}\r\n", 400),
        refused("a word", "hello\r\n", 400),
        refused("a Redis command", "*1\r\n$4\r\nPING\r\n", 400),
        refused("an SSH client", "SSH-2.0-OpenSSH_9.2\r\n", 400),
        refused("a response", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400),
    ]
}

fn case(name: &'static str, bytes: impl AsRef<[u8]>, expect: impl IntoIterator<Item = Expect>) -> Case {
    Case { name, bytes: bytes.as_ref().to_vec(), expect: expect.into_iter().collect() }
}

fn refused(name: &'static str, bytes: impl AsRef<[u8]>, status: u16) -> Case {
    case(name, bytes, [Expect::Refused(status)])
}

fn request(method: &'static str, path: &'static str, body: &str) -> Expect {
    Expect::Request { method, path, query: None, body: body.as_bytes().to_vec(), keep_alive: true }
}

fn get(path: &'static str) -> Expect {
    request("GET", path, "")
}

fn query(path: &'static str, query: &'static str) -> Expect {
    Expect::Request { method: "GET", path, query: Some(query), body: vec![], keep_alive: true }
}

fn closing(path: &'static str) -> Expect {
    Expect::Request { method: "GET", path, query: None, body: vec![], keep_alive: false }
}

fn waits() -> Expect {
    Expect::Incomplete { continues: false }
}
