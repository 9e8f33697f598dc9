import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { LinkKeys } from '../../lib/link/keys.ts'
import { tokenOfUrl } from '../../lib/link/link-url.ts'
import { verifyToken } from '../../lib/link/token.ts'
import { startProcess, until } from '../support/process.ts'
import { keyLine, writeKeyFile } from '../support/link-keys.ts'
import { linktool, temporaryFolder } from './linktool.ts'

const dir = temporaryFolder()
const keys = join(dir, 'keys')
const tracking = ['--tracking-url', 'https://track.example.com', '--link-keys', keys]
before(() => writeKeyFile(keys, keyLine('k7', 'signing')))

const message = [
  'From: news@shop.example',
  'To: alex@customer.example',
  'Subject: News',
  'MIME-Version: 1.0',
  'Content-Type: text/html; charset=utf-8',
  '',
  '<html><body><a href="https://example.com/?a=1&amp;b=2">go</a> <a href="mailto:x@shop.example">mail</a></body></html>',
  '',
].join('\r\n')

/** Links to the tracker in a message, as what they say. */
function linksIn(text: string): unknown[] {
  const loaded = LinkKeys.load(keys)
  return [...text.matchAll(/https:\/\/track\.example\.com\/[\w-]+/g)].map(([url]) => {
    const verdict = verifyToken(tokenOfUrl(url), loaded)
    return verdict.ok ? [verdict.link.action, verdict.link.url] : verdict
  })
}

test('a configuration file for the wrapper serves', async () => {
  const config = join(dir, 'config.yaml')
  const top = `tracking-url: https://track.example.com\nlink-keys: ${keys}\n`
  writeFileSync(
    config,
    `${top}wrapper:\n  out-hostport: 127.0.0.1:25\n  track-initial-open: true\n  track-click: false\n`,
  )
  const { code, stdout, stderr } = await linktool(['wrap', '--config', config], message)
  assert.equal(code, 0, stderr)
  assert.deepEqual(linksIn(stdout), [
    ['initial_open', undefined],
    ['open', undefined],
  ])
})

test('wrap does to standard input what the wrapper does: stamps, links, pixel, and nothing else', async () => {
  const { code, stdout, stderr } = await linktool(['wrap', ...tracking], message)
  assert.equal(code, 0)
  assert.match(stdout, /^X-Sp-Message-Id: 0000[0-9a-f]{16}\r\nX-Sendpost-Message-UUID: [0-9a-f-]{36}\r\nFrom: /)
  assert.deepEqual(linksIn(stdout), [
    ['click', 'https://example.com/?a=1&b=2'],
    ['open', undefined],
  ])
  assert.match(stdout, /href="mailto:x@shop\.example"/)
  assert.match(stderr, /^linktool: messages 1, links wrapped 1, pixels added 1; left alone: scheme 1\n$/)
})

test('wrap puts in the honeypot link where it is asked to', async () => {
  const { code, stdout } = await linktool(['wrap', '--honeypot-link', ...tracking], message)
  assert.equal(code, 0)
  assert.deepEqual(linksIn(stdout)[1], ['click', 'https://track.example.com/robots.txt'])
})

test('wrap with tracking off changes nothing but the stamps, and needs neither keys nor tracking URL', async () => {
  const { code, stdout } = await linktool(['wrap', '--no-track-open', '--track-click=false'], message)
  assert.equal(code, 0)
  assert.equal(stdout.replace(/^X-Sp-Message-Id:.*\r\nX-Sendpost-Message-UUID:.*\r\n/, ''), message)
})

test('wrap takes LF line ends for CRLF, and an empty input for an empty message', async () => {
  const { stdout } = await linktool(['wrap', ...tracking], message.replaceAll('\r\n', '\n'))
  assert.ok(!/(?<!\r)\n/.test(stdout))
  assert.equal(linksIn(stdout).length, 2)
  assert.equal((await linktool(['wrap', ...tracking], '')).code, 0)
})

test('wrap goes through a folder and its subfolders, and keeps names', async () => {
  const inDir = join(dir, 'in')
  const outDir = join(dir, 'out')
  mkdirSync(join(inDir, 'a', 'b'), { recursive: true })
  const sealed =
    'Content-Type: message/rfc822\r\nX-Sp-Message-Id: 1\r\n\r\nSubject: x\r\n\r\n<a href="https://e.example/">\r\n'
  writeFileSync(join(inDir, 'one.eml'), message)
  writeFileSync(join(inDir, 'a', 'b', 'two'), message)
  writeFileSync(join(inDir, 'a', 'sealed.eml'), sealed)
  const { code, stdout, stderr } = await linktool(['wrap', '--in-dir', inDir, '--out-dir', outDir, ...tracking])
  assert.deepEqual([code, stdout], [0, ''])
  assert.match(stderr, /messages 3, links wrapped 2, pixels added 2/)
  assert.deepEqual(
    new Set(readdirSync(outDir, { recursive: true, encoding: 'utf8' })),
    new Set(readdirSync(inDir, { recursive: true, encoding: 'utf8' })),
  )
  assert.equal(linksIn(readFileSync(join(outDir, 'a', 'b', 'two'), 'latin1')).length, 2)
  assert.ok(readFileSync(join(outDir, 'a', 'sealed.eml'), 'latin1').endsWith(sealed))
})

test('wrap follows links, but not in circles, and goes on behind those that lead nowhere', async () => {
  const inDir = join(dir, 'linked')
  const outDir = join(dir, 'linked-out')
  mkdirSync(join(inDir, 'a'), { recursive: true })
  mkdirSync(join(dir, 'elsewhere'))
  writeFileSync(join(dir, 'elsewhere', 'one.eml'), message)
  symlinkSync(join(dir, 'elsewhere'), join(inDir, 'b'))
  symlinkSync('../b/one.eml', join(inDir, 'a', 'two.eml'))
  symlinkSync('..', join(inDir, 'a', 'up'))
  symlinkSync('.', join(inDir, 'itself'))
  symlinkSync('nowhere', join(inDir, 'nowhere'))
  const { code, stderr } = await linktool(['wrap', '--in-dir', inDir, '--out-dir', outDir, ...tracking])
  assert.equal(code, 1)
  assert.match(stderr, /linktool: nowhere: E\w+: .*\nlinktool: messages 2, /)
  assert.deepEqual(readdirSync(outDir, { recursive: true, encoding: 'utf8' }).toSorted(), [
    'a',
    'a/two.eml',
    'b',
    'b/one.eml',
  ])
})

test('wrap stops when it is asked to while it waits for input', async () => {
  const started = await startProcess('node', ['cmd/linktool.ts', 'wrap', '--no-track-open', '--no-track-click'], {
    cwd: join(import.meta.dirname, '../..'),
  })
  // More than a pipe holds: when all of it was taken, linktool is reading and waits for the rest.
  started.child.stdin?.write(message + 'x'.repeat(1_000_000))
  await until('linktool has read its input', () => started.child.stdin?.writableLength === 0)
  started.kill('SIGINT')
  assert.deepEqual(await started.exited, { code: 1, signal: null })
  assert.equal(started.output.stdout, '')
  assert.match(started.output.stderr, /^linktool: stopped before the end of standard input\n$/)
})

test('wrap refuses settings that do not go together', async () => {
  const wrong: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [['--link-keys', keys], /--tracking-url URL is required/],
    [['--tracking-url', 'https://t.example'], /--link-keys FILE is required/],
    [[...tracking, '--in-dir', dir], /--in-dir and --out-dir belong together/],
    [[...tracking, '--in-dir', dir, '--out-dir', join(dir, 'x')], /--out-dir must be outside of --in-dir/],
    [[...tracking, '--list-unsubscribe', 'mailto'], /needs --list-unsubscribe-mailto/],
  ]
  for (const [args, message] of wrong) {
    const { code, stderr } = await linktool(['wrap', ...args])
    assert.equal(code, 2)
    assert.match(stderr, message)
  }
})

test('explain shows the links also of a message whose header or parts a parser refuses', async () => {
  const link = 'Content-Type: text/html\n\n<a href="https://e.example/">x</a>\n'
  const messages = {
    parts: `Content-Type: multipart/mixed; boundary=b\n\n${`--b\n${link}`.repeat(1_200)}--b--\n`,
    header: `X-A: b\n${' c\n'.repeat(400_000)}${link}`,
  }
  for (const [what, text] of Object.entries(messages)) {
    const { code, stdout } = await linktool(['explain'], text)
    assert.equal(code, 0, what)
    assert.match(stdout, /https:\/\/e\.example\/ /, what)
  }
})

test('explain shows each link with element, text, verdict and reason, as a table and as JSON', async () => {
  const { code, stdout } = await linktool(['explain', '-', '--tracking-url', 'https://track.example.com'], message)
  assert.equal(code, 0)
  assert.match(stdout, /^Subject: News$/m)
  assert.match(stdout, /^1 +0 +a +go +https:\/\/example\.com\/\?a=1&b=2 +yes: click$/m)
  assert.match(stdout, /^2 +0 +a +mail +mailto:x@shop\.example +no: neither http nor https \(scheme\)$/m)
  assert.match(stdout, /^links wrapped: 1 of 2; pixels added: 1$/m)
  const file = join(dir, 'message.eml')
  writeFileSync(file, message)
  const json = JSON.parse((await linktool(['explain', file, '--json', '--no-track-click'])).stdout) as {
    links: { reason: string; url: string; wrapped: boolean }[]
  }
  assert.deepEqual(
    json.links.map(({ reason, wrapped }) => [reason, wrapped]),
    [
      ['switched-off', false],
      ['switched-off', false],
    ],
  )
  const missing = await linktool(['explain', join(dir, 'missing.eml')])
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /missing\.eml can't be read \(ENOENT\)/)
})
