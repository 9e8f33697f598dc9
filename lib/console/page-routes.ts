/** The pages for people: latest events and mails, and a mail with its links. Server-rendered, without scripts. */
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { type ParsedMail, simpleParser } from 'mailparser'
import type { Archive } from './archive.ts'
import type { EventRow } from './event-store.ts'
import { linksOf } from './links.ts'
import type { MailRow } from './mail-store.ts'
import { html } from './markup.ts'
import { mailPage, overview, page } from './page.ts'

/** Rows of each table. */
const rowsMax = 100

/** Largest mail that is taken apart to be shown, in bytes; a larger one can be fetched as it is. */
const shownBytesMax = 10 * 1024 * 1024

/** Header fields that are shown. */
const headersMax = 200

/** Largest part that is shown, in characters. */
const partCharsMax = 2 * 1024 * 1024

const pagePolicy = [
  "default-src 'none'",
  "style-src 'self'",
  "frame-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

export function pageRoutes(app: FastifyInstance, archive: Archive, trackingUrl: string | undefined): void {
  const style = readFileSync(new URL('style.css', import.meta.url), 'utf8')
  const trackerImages =
    trackingUrl === undefined ? 'http://127.0.0.1:* http://localhost:*' : new URL(trackingUrl).origin

  app.get('/style.css', (_, reply) => reply.type('text/css; charset=utf-8').send(style))

  app.get<{ Querystring: Readonly<Record<string, unknown>> }>('/', async (request, reply) => {
    const { query } = request
    const [type, messageId] = [textOf(query['type']), textOf(query['message_id'])]
    const filter = { ...(type !== undefined && { type }), ...(messageId !== undefined && { messageId }) }
    const asked = new URLSearchParams()
    if (type !== undefined) asked.set('type', type)
    if (messageId !== undefined) asked.set('message_id', messageId)
    const isFiltered = asked.size > 0
    const refreshing = query['refresh'] === '5'
    const counts = await archive.call('counts')
    const content = overview({
      events: await archive.latestEvents(filter, rowsMax),
      mails: (await archive.call('mailPage', await archive.call('mailWindow', rowsMax), rowsMax)).toReversed(),
      eventsKept: counts.events,
      mailsKept: counts.mails,
      filter: isFiltered ? { shown: [...asked.values()].join(', '), query: asked.toString() } : undefined,
      refreshing,
    })
    return reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', pagePolicy)
      .send(page('Console', content, refreshing ? 5 : undefined))
  })

  app.get<{ Params: { id: string }; Querystring: { images?: string } }>('/mail/:id', async (request, reply) => {
    const mail = await archive.call('mail', request.params.id)
    void reply.type('text/html; charset=utf-8').header('content-security-policy', pagePolicy)
    if (!mail) {
      return reply
        .code(404)
        .send(
          page(
            'No such mail',
            html`<p class="none">No such mail: it was never caught, or it was removed to make room.</p>`,
          ),
        )
    }
    const parsed = await parse(archive, mail)
    const own = typeof parsed === 'string' ? undefined : parsed
    const markup = htmlOf(own)
    return page(
      mail.subject || `Mail ${mail.id}`,
      mailPage({
        mail,
        headers: own?.headerLines.slice(0, headersMax).map(({ line }) => splitHeader(line)) ?? [],
        hasHtml: markup !== undefined,
        text: own?.text?.slice(0, partCharsMax),
        links: markup === undefined ? [] : linksOf(markup),
        attachments: (own?.attachments ?? [])
          .filter(({ related }) => !related)
          .map(({ filename, contentType, size }) => ({ name: filename ?? contentType, bytes: size })),
        trouble: typeof parsed === 'string' ? parsed : undefined,
        allImages: request.query.images === 'all',
        events: own ? await eventsOf(archive, own) : [],
      }),
    )
  })

  app.get<{ Params: { id: string }; Querystring: { images?: string } }>('/mail/:id/html', async (request, reply) => {
    const mail = await archive.call('mail', request.params.id)
    const parsed = mail ? await parse(archive, mail) : undefined
    const markup = typeof parsed === 'string' ? undefined : htmlOf(parsed)
    const images = request.query.images === 'all' ? 'http: https: data:' : `${trackerImages} data:`
    // A mail is a stranger's page: no scripts, no forms, nothing of ours in reach, links open a tab of their own.
    void reply
      .header(
        'content-security-policy',
        `sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src ${images}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'`,
      )
      .type('text/html; charset=utf-8')
    if (markup === undefined)
      return reply.code(404).send('<!doctype html><title>No HTML</title><p>This mail has no HTML part.')
    return withLinksInTabs(markup)
  })
}

/** The message taken apart, or why it is not. */
async function parse(archive: Archive, mail: MailRow): Promise<ParsedMail | string> {
  if (mail.bytes > shownBytesMax) return 'This mail is too large to be shown here; fetch it as received.'
  try {
    return await simpleParser(Readable.from(archive.mailContent(mail.id), { objectMode: true, highWaterMark: 1 }), {
      skipHtmlToText: true,
      skipTextToHtml: true,
      skipTextLinks: true,
    })
  } catch (error) {
    return `This mail can't be taken apart (${(error as Error).message}); fetch it as received.`
  }
}

function htmlOf(parsed: ParsedMail | undefined): string | undefined {
  return parsed && typeof parsed.html === 'string' && parsed.html !== ''
    ? parsed.html.slice(0, partCharsMax)
    : undefined
}

/** Events that bear one of the ids that the message carries. */
async function eventsOf(archive: Archive, parsed: ParsedMail): Promise<readonly EventRow[]> {
  const ids = ['x-sp-message-id', 'x-sendpost-message-uuid']
    .map(name => parsed.headers.get(name))
    .filter(value => typeof value === 'string')
  const found = await Promise.all(ids.map(messageId => archive.latestEvents({ messageId }, rowsMax)))
  return found
    .flat()
    .toSorted((a, b) => b.seq - a.seq)
    .slice(0, rowsMax)
}

function splitHeader(line: string): readonly [string, string] {
  const colon = line.indexOf(':')
  return colon < 0
    ? ['', line.slice(0, 2_000)]
    : [
        line.slice(0, colon),
        line
          .slice(colon + 1)
          .trim()
          .slice(0, 2_000),
      ]
}

/** Puts `<base target>` where it leaves the document's rendering mode alone. */
function withLinksInTabs(markup: string): string {
  const base = '<base target="_blank">'
  const start = markup.slice(0, 20_000)
  const head = /<head(?:\s[^>]{0,2000})?>/i.exec(start) ?? /^\s*<!doctype[^>]{0,2000}>/i.exec(start)
  const at = head ? head.index + head[0].length : 0
  return markup.slice(0, at) + base + markup.slice(at)
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
