// Makes morgan.json, what morgan itself writes for requests of many kinds. In a temporary folder:
//
//     npm install morgan@1.12.1 && node <this file> > morgan.json
//
// Requests are parsed by Node's own IncomingMessage, so repeated headers are joined as Node joins them. The clock is fixed.

import { createRequire } from 'node:module'
import http from 'node:http'

const require = createRequire(process.cwd() + '/')
const morgan = require('morgan')

const formats = [
  'combined', 'common', 'short', 'tiny', 'dev',
  ':date|:date[clf]|:date[iso]|:date[web]|:date[]',
  ':response-time[0] :response-time[1] :response-time :response-time[7] :total-time[0] :total-time :total-time[9]',
  ':req[X-Many] :req[cOOkie-like] :res[x-many] :res[X-None] :referrer :user-agent :remote-user',
  'a "quoted" \\ text: :method::status :x é\t:http-version]',
]
const basic = (text) => 'Basic ' + Buffer.from(text).toString('base64')
const get = { method: 'GET', url: '/a?q=1', version: '1.1', address: '127.0.0.1', headers: [] }
const ok = { status: 200, headers: [['content-length', '2']], first: 1500000, total: 2750000, at: 1732406399999 }
const request = (more) => ({ ...get, ...more })
const answer = (more) => ({ ...ok, ...more })
const headers = (...list) => request({ headers: list })
const exchanges = [
  [get, ok],
  [headers(['authorization', basic('al"i\nce:secret')], ['referer', 'http://r/'], ['user-agent', 'curl/8"x\\y\u00e9']), ok],
  [get, answer({ headers: [] })],
  [get, answer({ status: 204, headers: [] })],
  [request({ method: 'HEAD' }), ok],
  [get, { status: null, headers: [], first: null, total: 5000000, at: 0 }],
  [get, answer({ status: 101, headers: [] })],
  [get, answer({ status: 304, headers: [] })],
  [get, answer({ status: 404, first: 500000, total: 2500000 })],
  [get, answer({ status: 503, first: 0, total: 0, at: 951782400000 })],
  [request({ version: '2.0', address: '2001:db8::1' }), answer({ at: 4107542399123 })],
  [request({ version: '1.0', address: null }), answer({ first: 62500, total: 1234567890123 })],
  [request({ method: 'M-SEARCH', url: '*' }), ok],
  [headers(['x-many', 'a'], ['x-many', 'b'], ['user-agent', 'first'], ['user-agent', 'second']), ok],
  [headers(['referrer', 'http://spelled/right'], ['user-agent', '']), answer({ headers: [['x-many', 'a'], ['x-many', 'b']] })],
  [headers(['referer', ''], ['referrer', 'second'], ['x-many', '\u0080\u009f\u00a0\u00ff\t"\\']), ok],
  ...[
    'basic   ' + Buffer.from('joe:x').toString('base64') + '  ', basic(':x'), basic('joe'), basic('joe:a\nb'),
    basic('joe:a\u2028b'), basic('\u2028\u2029\u0085\b\f\r\t\u001b[31m:x'), basic('Zo\u00eb:x'), basic('a:b:c'),
    'Basic /////zp4', 'Basic am9lOng', 'Basic am9lOng=', 'Basic am9lOng==', 'Basic am9.lOng', 'Basic am9~lOng=', 'Basic am9lO-g_',
    'Basic a', 'Basic', 'Bearer am9lOng=', 'Basic am9lOng= x', '  Basic am9lOng=', 'Basic am9l=Ong',
    'Basic ' + Buffer.from([0x61, 0xe2, 0x82, 0x3a, 0x78]).toString('base64'),
  ].map((value) => [headers(['authorization', value]), ok]),
]

const lines = ([asked, answered]) => {
  const req = new http.IncomingMessage(null)
  const raw = asked.headers.flat()
  req._addHeaderLines(raw, raw.length)
  Object.assign(req, { method: asked.method, url: asked.url, _remoteAddress: asked.address ?? undefined })
  ;[req.httpVersionMajor, req.httpVersionMinor] = asked.version.split('.').map(Number)
  const res = new http.ServerResponse(req)
  for (const [name, value] of answered.headers) res.appendHeader(name, value)
  res.statusCode = answered.status ?? 200
  Object.defineProperty(res, 'headersSent', { value: answered.status !== null })
  const clock = (nanos) => [Math.floor(nanos / 1e9), nanos % 1e9]
  req._startAt = [0, 0]
  res._startAt = answered.first === null ? undefined : clock(answered.first)
  const real = { hrtime: process.hrtime, Date: globalThis.Date }
  process.hrtime = () => clock(answered.total)
  globalThis.Date = class extends real.Date { constructor () { super(answered.at) } }
  try {
    return formats.map((format) => {
      const write = typeof morgan[format] === 'function' ? morgan[format] : morgan.compile(morgan[format] ?? format)
      return write(morgan, req, res)
    })
  } finally {
    process.hrtime = real.hrtime
    globalThis.Date = real.Date
  }
}

const golden = exchanges.map((exchange) => ({ request: exchange[0], answer: exchange[1], lines: lines(exchange) }))
process.stdout.write(JSON.stringify({ formats, golden }, null, 1) + '\n')
