/**
 * CPU time to wrap a 30 KB newsletter with 25 links, and beside it, in the same run, what the usual building blocks need
 * for part of the same job: cheerio (parse the HTML, change its links, write it) and mailsplit (take the message apart
 * and put it together again). Messages: ../shared/bench/msg-*.eml, else one of our own; it says which.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { load } from 'cheerio'
import { encodeQuotedPrintable } from '../lib/message/mime/quoted-printable.ts'
import { MessageWrapper } from '../lib/message/tracking/wrap-message.ts'
import type { TrackingPlan } from '../lib/message/tracking/tracking-plan.ts'

interface Piping extends NodeJS.ReadWriteStream {
  pipe<T extends NodeJS.WritableStream>(to: T): T
}
const { Splitter, Joiner } = createRequire(import.meta.url)('@zone-eu/mailsplit') as {
  Splitter: new () => Piping
  Joiner: new () => Piping
}

const folder = resolve(import.meta.dirname, '../../shared/bench')
const names = ['8bit', 'qp', 'b64']

const fileOf = (name: string): string => join(folder, `msg-${name}.eml`)

function message(name: string): Buffer {
  const file = fileOf(name)
  if (existsSync(file)) return Buffer.from(readFileSync(file, 'latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1')
  const rows = Array.from(
    { length: 25 },
    (_, row) =>
      `<tr><td style="padding:8px">${'word '.repeat(200)}<a href="https://e.example/${row}?a=1&amp;b=2">go</a></td></tr>`,
  )
  const html = `<html><body><table>\r\n${rows.join('\r\n')}\r\n</table></body></html>\r\n`
  const [encoding, body] =
    name === 'b64'
      ? ['base64', Buffer.from(html).toString('base64').replaceAll(/.{76}/g, '$&\r\n')]
      : name === 'qp'
        ? ['quoted-printable', encodeQuotedPrintable(html).toString()]
        : ['8bit', html]
  return Buffer.from(`Content-Type: text/html\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n`)
}

const link = `https://track.example.com/${'x'.repeat(160)}`
const plan: TrackingPlan = {
  trackOpen: true,
  trackInitialOpen: false,
  trackClick: true,
  trackText: false,
  dkimSigned: 'wrap',
  trackingUrl: 'https://track.example.com',
  messageId: '0000123456789abcdef0',
  uuid: '3f2504e0-4f89-41d3-9a0c-0305e82c3301',
  linkFor: () => link,
}
const off = { ...plan, trackOpen: false, trackClick: false }

function wrap(bytes: Buffer, plan: TrackingPlan, chunkBytes = bytes.length): void {
  const wrapper = new MessageWrapper(() => plan)
  for (let at = 0; at < bytes.length; at += chunkBytes) wrapper.write(bytes.subarray(at, at + chunkBytes))
  wrapper.end()
}

function rewrite(html: string): string {
  const page = load(html)
  page('a[href^=http]').attr('href', link)
  return page.html()
}

async function split(bytes: Buffer): Promise<void> {
  const splitter = new Splitter()
  const joined = splitter.pipe(new Joiner())
  splitter.end(bytes)
  for await (const chunk of joined) void chunk
}

/** Microseconds of CPU a run. */
async function measure(runs: number, run: () => unknown): Promise<number> {
  for (let warm = 0; warm < runs; warm++) await run()
  const before = process.cpuUsage()
  for (let count = 0; count < runs; count++) await run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / runs
}

const document = message('8bit').toString()
const html = document.slice(document.search(/<!doctype|<html/i))
const rows: Record<string, number> = {}
for (const name of names) {
  const origin = existsSync(fileOf(name)) ? fileOf(name) : `of our own, ${fileOf(name)} is not there`
  console.log(`${name.padEnd(24)} ${message(name).length} bytes: ${origin}`)
}
for (const name of names) {
  const bytes = message(name)
  rows[`wrap ${name}`] = await measure(1000, () => wrap(bytes, plan))
  rows[`wrap ${name}, 4 KiB chunks`] = await measure(1000, () => wrap(bytes, plan, 4096))
}
const bytes = message('qp')
rows['tracking off'] = await measure(2000, () => wrap(bytes, off))
rows['mailsplit alone'] = await measure(100, () => split(bytes))
rows['cheerio alone'] = await measure(100, () => rewrite(html))
for (const [what, time] of Object.entries(rows))
  console.log(`${what.padEnd(24)} ${time.toFixed(0).padStart(6)} µs CPU a message`)
const slowest = Math.max(...names.map(name => rows[`wrap ${name}`] ?? 0))
const peers = (rows['cheerio alone'] ?? 0) + (rows['mailsplit alone'] ?? 0)
console.log(`cheerio and mailsplit together take ${(peers / slowest).toFixed(1)} times the slowest of ours`)
