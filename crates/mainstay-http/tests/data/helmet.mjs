// Runs helmet 8.3.0 over many options and writes what it does, for tests/helmet.rs:
// npm install --no-save helmet@8.3.0 && node helmet.mjs > helmet.json
import helmet from "helmet"

const special = {
  dangerouslyDisableDefaultSrc: helmet.contentSecurityPolicy.dangerouslyDisableDefaultSrc,
  NaN: NaN,
  Infinity: Infinity,
}
const reviving = value => {
  if (Array.isArray(value)) return value.map(reviving)
  if (value === null || typeof value !== "object") return value
  if ("$" in value) return special[value.$]
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, reviving(inner)]))
}
const run = options => {
  const sent = new Map([["x-powered-by", "Express"]])
  const response = {
    setHeader: (name, value) => sent.set(name.toLowerCase(), value),
    removeHeader: name => sent.delete(name.toLowerCase()),
  }
  try {
    helmet(reviving(options))({}, response, error => { if (error) throw error })
    return { options, headers: [...sent] }
  } catch (error) {
    return { options, error: error.message }
  }
}

const cases = [{}]
const csp = (directives, more = {}) => cases.push({ contentSecurityPolicy: { ...more, directives } })

const NAMES = [
  "contentSecurityPolicy", "crossOriginEmbedderPolicy", "crossOriginOpenerPolicy", "crossOriginResourcePolicy",
  "originAgentCluster", "referrerPolicy", "strictTransportSecurity", "xContentTypeOptions", "xDnsPrefetchControl",
  "xDownloadOptions", "xFrameOptions", "xPermittedCrossDomainPolicies", "xPoweredBy", "xXssProtection",
]
const ALIASES = {
  hsts: "strictTransportSecurity", noSniff: "xContentTypeOptions", dnsPrefetchControl: "xDnsPrefetchControl",
  ieNoOpen: "xDownloadOptions", frameguard: "xFrameOptions", permittedCrossDomainPolicies: "xPermittedCrossDomainPolicies",
  hidePoweredBy: "xPoweredBy", xssFilter: "xXssProtection",
}
for (const name of [...NAMES, ...Object.keys(ALIASES)]) cases.push({ [name]: true }, { [name]: false })
cases.push(Object.fromEntries(NAMES.map(name => [name, false])), Object.fromEntries(NAMES.map(name => [name, true])))
for (const [alias, name] of Object.entries(ALIASES)) cases.push({ [name]: true, [alias]: true })

const VALUES = {
  crossOriginEmbedderPolicy: ["policy", ["require-corp", "credentialless", "unsafe-none", "foo", "", "Require-Corp", "a\"b\\c", "\u0001\n\u007f\u2028"]],
  crossOriginOpenerPolicy: ["policy", ["same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none", "foo", "", "same-site", "SAME-ORIGIN"]],
  crossOriginResourcePolicy: ["policy", ["same-origin", "same-site", "cross-origin", "foo", "", "unsafe-none", "cross-origin "]],
  referrerPolicy: ["policy", [
    "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin", "origin-when-cross-origin",
    "strict-origin-when-cross-origin", "unsafe-url", "", "foo", "Origin", [], ["origin"], ["origin", "unsafe-url"], ["", "origin"],
    ["no-referrer", "strict-origin-when-cross-origin", "same-origin"], ["origin", "origin"], ["foo", "foo"], ["origin", "foo"],
    ["", ""], ["strict-origin", "origin", "strict-origin"],
  ]],
  xDnsPrefetchControl: ["allow", [true, false]],
  xFrameOptions: ["action", ["deny", "DENY", "Deny", "sameorigin", "SAMEORIGIN", "same-origin", "Same-Origin", "\u017fameorigin", "allow-from", "ALLOW-FROM", "foo", "", "deny "]],
  xPermittedCrossDomainPolicies: ["permittedPolicies", ["none", "master-only", "by-content-type", "all", "by-ftp-filename", "None", "", "foo"]],
}
for (const [name, [key, values]] of Object.entries(VALUES)) {
  cases.push({ [name]: {} })
  for (const value of values) cases.push({ [name]: { [key]: value } })
}
for (const [alias, name] of Object.entries(ALIASES)) {
  if (!(name in VALUES)) continue
  const [key, values] = VALUES[name]
  for (const value of values) cases.push({ [alias]: { [key]: value } })
}
for (const maxAge of [0, 1, 1.9, 1234, 15552000, 31536000, 4294967296, -1, -0.1, { $: "NaN" }, { $: "Infinity" }, null]) {
  for (const rest of [{}, { includeSubDomains: false }, { preload: true }, { includeSubDomains: false, preload: true }]) {
    cases.push({ strictTransportSecurity: { maxAge, ...rest } })
  }
}
cases.push(
  { hsts: { maxAge: 12 } }, { hsts: {} }, { strictTransportSecurity: { maxage: 1 } }, { strictTransportSecurity: { includeSubdomains: true } },
  { strictTransportSecurity: { includeSubDomains: true, preload: false } },
)

for (const more of [{}, { useDefaults: true }, { useDefaults: false }, { reportOnly: true }, { reportOnly: false }]) {
  cases.push({ contentSecurityPolicy: more })
  csp({}, more)
  csp({ "default-src": ["'self'"] }, more)
  csp({ defaultSrc: "'none'", "script-src": ["'self'", "https://cdn.example"] }, more)
  csp({ "script-src": ["'self'"] }, more)
  csp({ defaultSrc: null }, more)
  csp({ defaultSrc: { $: "dangerouslyDisableDefaultSrc" } }, more)
  csp({ defaultSrc: { $: "dangerouslyDisableDefaultSrc" }, scriptSrc: "'self'" }, more)
  csp({ scriptSrc: { $: "dangerouslyDisableDefaultSrc" } }, more)
  csp({ scriptSrc: null, "upgrade-insecure-requests": null, imgSrc: [] }, more)
  csp({ fooBarBaz: "x", "new-one": [], defaultSrc: "'self'", aBC: ["y"] }, more)
  csp({ scriptSrc: null, "script-src": "'self'" }, more)
}
const DEFAULTS = Object.keys(helmet.contentSecurityPolicy.getDefaultDirectives())
for (const name of DEFAULTS) {
  csp({ [name]: null })
  csp({ [name]: [] })
  csp({ [name]: "https://a.example" })
  csp({ [name]: ["https://a.example", "'self'"], "z-last": "b" })
  csp({ [name.replace(/-[a-z]/g, part => part[1].toUpperCase())]: ["data:"] })
}
for (const name of ["", " ", "bad name", "bad_name", "-a", "a-", "A", "Ab", "1a", "a1", "a", "a-b", "a--b", "caf\u00e9", "x;y", "x,y", "a\n", "a\"", "fooBAR", "aB", "__proto__x"]) {
  csp({ [name]: "'self'" })
  csp({ [name]: null })
}
for (const value of [
  "", " ", "a", "a b", ["a", "b"], ["a", ""], ["", ""], [""], "a;b", "a,b", ";", ",", ["a", "b;c"], ["ok", "b,c"], false,
  "none", "self", "strict-dynamic", "report-sample", "inline-speculation-rules", "unsafe-inline", "unsafe-eval", "unsafe-hashes",
  "wasm-unsafe-eval", "nonce-abc", "sha256-abc", "sha384-abc", "sha512-abc", "nonce-", "sha1-abc", "Self", "self ", " self", "self none",
  "'self'", "'none'", "'strict-dynamic'", "'nonce-abc'", "'sha256-abc='", ["'self'", "self"], ["https:", "none"], "selfish", "https://x.example/a?b",
  "nonce-\"quoted\\", "*", "*.example.com", "http://localhost:*", "ws:", "blob:", "data:", "'report-sample'",
]) {
  csp({ "script-src": value })
  csp({ "connect-src": value })
}

// Combinations: a plain generator with a fixed seed, so that the file can be made again.
let state = 20260711
const below = bound => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return (state >>> 8) % bound }
const pick = list => list[below(list.length)]
const SOURCES = ["'self'", "'none'", "https:", "data:", "https://a.example", "*.b.example", "'unsafe-inline'", "'sha256-abc='", "blob:", "", "self", "x;y"]
const policy = () => {
  const directives = {}
  for (let count = below(5); count > 0; count--) {
    const name = pick([...DEFAULTS, "connectSrc", "scriptSrc", "frame-src", "workerSrc", "report-to", "sandbox", "trusted-types", "oneMore"])
    directives[name] = pick([null, "'self'", [], Array.from({ length: 1 + below(3) }, () => pick(below(6) ? SOURCES.slice(0, 10) : SOURCES))])
  }
  return { useDefaults: below(4) > 0, reportOnly: below(4) === 0, directives }
}
for (let count = 0; count < 260; count++) {
  const options = {}
  if (below(2)) options.contentSecurityPolicy = policy()
  for (const [name, [key, values]] of Object.entries(VALUES)) if (!below(4)) options[name] = pick([true, false, { [key]: values[below(4) % values.length] }])
  for (const name of NAMES) if (!(name in options) && !below(6)) options[name] = pick([true, false])
  if (!below(4)) options.strictTransportSecurity = { maxAge: below(100000000), includeSubDomains: !below(2), preload: !below(2) }
  cases.push(options)
}

// Smaller, and with the order of directives whatever reads it: directives as pairs, and a header that helmet sends by
// default as its place in the first case's list.
const results = cases.map(run)
const defaults = results[0].headers.map(header => header.join(": "))
const short = ({ options, headers, error }) => {
  const policy = options.contentSecurityPolicy
  if (policy?.directives) options = { ...options, contentSecurityPolicy: { ...policy, directives: Object.entries(policy.directives) } }
  const places = headers?.map(header => header.join(": ")).map(line => (defaults.includes(line) ? defaults.indexOf(line) : line))
  return { options, headers: places, error }
}
const lines = [JSON.stringify(defaults), ...results.map(result => JSON.stringify(short(result)))]
process.stdout.write("[\n" + lines.join(",\n") + "\n]\n")
