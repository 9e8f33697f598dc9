/** What the pages for people look like. Everything that came from outside is escaped by `html`. */
import type { EventRow } from './event-store.ts'
import type { MailRow } from './mail-store.ts'
import { html, type Markup } from './markup.ts'
import { asObject } from './received-event.ts'

/** A page in full. */
export function page(title: string, content: Markup, refreshSeconds?: number): string {
  const { text } = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        ${refreshSeconds === undefined ? undefined : html`<meta http-equiv="refresh" content="${refreshSeconds}" />`}
        <title>${title}</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="/style.css" />
      </head>
      <body>
        <header><a href="/">mta-tracking console</a></header>
        <main>${content}</main>
      </body>
    </html> `
  return text
}

export interface Overview {
  readonly events: readonly EventRow[]
  readonly mails: readonly MailRow[]
  readonly eventsKept: number
  readonly mailsKept: number
  /** The filter in the address, when there is one: its values for people, and as a query. */
  readonly filter: { readonly shown: string; readonly query: string } | undefined
  readonly refreshing: boolean
}

export function overview(view: Overview): Markup {
  const { events, mails, filter } = view
  const here = filter === undefined ? '/' : `/?${filter.query}`
  const refreshed = filter === undefined ? '/?refresh=5' : `${here}&refresh=5`
  return html` <nav>
      <p>
        ${counted(view.eventsKept, 'event')} and ${counted(view.mailsKept, 'mail')} kept. As data:
        <a href="/api/events?limit=1000">events</a>, <a href="/api/mailbox?limit=1000">mailbox</a>.
        ${view.refreshing ? html`<a href="${here}">Stop refreshing</a>` : html`<a href="${refreshed}">Refresh every 5 s</a>`}
      </p>
    </nav>
    <section>
      <h2>${filter === undefined ? 'Latest events' : html`Events of <code>${filter.shown}</code>`}</h2>
      ${filter === undefined ? undefined : html`<p><a href="/">All events</a></p>`}
      ${events.length === 0 ? html`<p class="none">No events yet. Open a caught mail and follow one of its links, or post a batch to <code>/api/v1/ingest/events</code>.</p>` : eventTable(events)}
    </section>
    <section>
      <h2>Latest mails</h2>
      ${mails.length === 0 ? html`<p class="none">No mails yet. Send one to the wrapper, or to this mailbox directly.</p>` : mailTable(mails)}
    </section>`
}

function eventTable(events: readonly EventRow[]): Markup {
  return html`<table>
    <thead>
      <tr>
        <th>Happened</th>
        <th>Event</th>
        <th>Recipient</th>
        <th>Message</th>
        <th>Detail</th>
      </tr>
    </thead>
    <tbody>
      ${events.map(
        event =>
          html`<tr>
            <td data-label="Happened">${time(event.at ?? event.received)}</td>
            <td data-label="Event">
              <a class="${toneOf(event.type)}" href="/?type=${encodeURIComponent(event.type)}">${nameOf(event.type)}</a>
            </td>
            <td data-label="Recipient" class="address">${event.recipient ?? ''}</td>
            <td data-label="Message" class="id">
              ${event.messageId === null ? '' : html`<a href="/?message_id=${encodeURIComponent(event.messageId)}"><code>${event.messageId}</code></a>`}
            </td>
            <td data-label="Detail">${detailOf(event)}</td>
          </tr> `,
      )}
    </tbody>
  </table>`
}

function mailTable(mails: readonly MailRow[]): Markup {
  return html`<table>
    <thead>
      <tr>
        <th>Received</th>
        <th>Subject</th>
        <th>To</th>
        <th>From</th>
        <th>Bytes</th>
      </tr>
    </thead>
    <tbody>
      ${mails.map(
        mail =>
          html`<tr>
            <td data-label="Received">${time(mail.received)}</td>
            <td data-label="Subject"><a href="/mail/${mail.id}">${mail.subject || '(no subject)'}</a></td>
            <td data-label="To">${recipients(mail.to)}</td>
            <td data-label="From">${mail.from || '<>'}</td>
            <td data-label="Bytes" class="number">${mail.bytes} <a href="/api/mailbox/${mail.id}">raw</a></td>
          </tr> `,
      )}
    </tbody>
  </table>`
}

export interface MailView {
  readonly mail: MailRow
  /** `Name: value` of each header, as far as it was read. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly hasHtml: boolean
  readonly text: string | undefined
  readonly links: readonly string[]
  readonly attachments: readonly { readonly name: string; readonly bytes: number }[]
  /** Why the message is not shown. */
  readonly trouble: string | undefined
  readonly allImages: boolean
  readonly events: readonly EventRow[]
}

export function mailPage(view: MailView): Markup {
  const { mail } = view
  const content = `/mail/${mail.id}/html${view.allImages ? '?images=all' : ''}`
  return html` <article>
      <h1>${mail.subject || '(no subject)'}</h1>
      <dl>
        <dt>From</dt>
        <dd>${mail.from || '<>'}</dd>
        <dt>To</dt>
        <dd>${recipients(mail.to)}</dd>
        <dt>Received</dt>
        <dd>${time(mail.received)}</dd>
        <dt>Message</dt>
        <dd>${mail.bytes} bytes, <a href="/api/mailbox/${mail.id}">as received</a></dd>
      </dl>
      ${view.trouble === undefined ? undefined : html`<p class="none">${view.trouble}</p>`}
      ${
        view.hasHtml
          ? html`<p>
                Images are loaded from the tracker only, so that this view counts as an open.
                ${view.allImages ? html`<a href="/mail/${mail.id}">Tracker images only</a>` : html`<a href="/mail/${mail.id}?images=all">Load all images</a>`}
              </p>
              <iframe
                title="The message"
                src="${content}"
                referrerpolicy="no-referrer"
                sandbox="allow-popups allow-popups-to-escape-sandbox"
              ></iframe>`
          : undefined
      }
      ${view.text ? html`<details${view.hasHtml ? undefined : html` open`}><summary>Text</summary><pre>${view.text}</pre></details>` : undefined}
      ${
        view.links.length === 0
          ? undefined
          : html`<details open>
              <summary>${counted(view.links.length, 'link')}</summary>
              <ol>
                ${view.links.map(link => html`<li><a href="${link}" target="_blank" rel="noreferrer noopener">${shorten(link, 160)}</a></li> `)}
              </ol>
            </details>`
      }
      ${
        view.attachments.length === 0
          ? undefined
          : html`<details>
              <summary>${counted(view.attachments.length, 'attachment')}</summary>
              <ul>
                ${view.attachments.map(({ name, bytes }) => html`<li>${name}, ${bytes} bytes</li> `)}
              </ul>
            </details>`
      }
      <details>
        <summary>Headers</summary>
        <table class="headers">
          <tbody>
            ${view.headers.map(
              ([name, value]) =>
                html`<tr>
                  <th>${name}</th>
                  <td>${value}</td>
                </tr> `,
            )}
          </tbody>
        </table>
      </details>
    </article>
    ${
      view.events.length === 0
        ? undefined
        : html`<section>
            <h2>Events of this message</h2>
            ${eventTable(view.events)}
          </section>`
    }`
}

function counted(count: number, what: string): string {
  return `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`
}

function time(unixMs: number): Markup {
  const iso = new Date(unixMs).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')}Z</time>`
}

function recipients(to: readonly string[]): string {
  const shown = to.slice(0, 3).join(', ')
  return to.length > 3 ? `${shown} and ${to.length - 3} more` : shown
}

const tones: readonly (readonly [RegExp, string])[] = [
  [/defer|tempfail/, 'wait'],
  [/bounce|reject|fail|inband|outofband|feedback/, 'bad'],
  [/deliver|reception/, 'good'],
]

/** SparkPost's names of unsubscriptions say nothing by themselves. */
function nameOf(type: string): string {
  return type === 'link' || type === 'list' ? `unsubscribe (${type})` : type
}

function toneOf(type: string): string {
  return `tag ${tones.find(([pattern]) => pattern.test(type))?.[1] ?? 'seen'}`
}

/** Who made a request, when it was probably not the recipient. */
const verdicts = [
  ['is_bot', 'machine'],
  ['is_prefetched', 'prefetched'],
  ['is_proxy', 'through a proxy'],
] as const

/** What tells most about an event. */
const telling = ['target_link_url', 'smtp_description', 'raw_reason', 'reason', 'user_agent'] as const

function detailOf(event: EventRow): string {
  let body
  try {
    body = asObject(JSON.parse(event.body))
  } catch {
    return ''
  }
  const msys = asObject(body?.['msys'])
  const fields = msys ? asObject(Object.values(msys)[0]) : body
  const code = fields?.['smtp_code'] ?? fields?.['error_code']
  const found = telling.map(name => fields?.[name]).find(value => typeof value === 'string' && value !== '')
  const reply = typeof code === 'string' || typeof code === 'number' ? String(code) : ''
  const text = typeof found === 'string' ? found : ''
  const verdict = verdicts.find(([name]) => fields?.[name] === true)?.[1]
  const who = verdict === undefined ? '' : `(${verdict}) `
  return shorten(`${who}${text.startsWith(reply) ? '' : `${reply} `}${text}`, 160)
}

function shorten(text: string, charsMax: number): string {
  return text.length > charsMax ? `${text.slice(0, charsMax)}…` : text
}
