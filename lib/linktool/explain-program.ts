/** `linktool explain`: each link of a message, whether it is wrapped, and why not. */
import { readFileSync } from 'node:fs'
import { simpleParser } from 'mailparser'
import { flag, option, type OptionTable } from '../process/option.ts'
import { type RunnableProgram } from '../process/run.ts'
import { StartError } from '../process/start-error.ts'
import { type ExplainedLink, type ExplainedMessage, explainMessage, type Reason } from './explain-message.ts'
import { finished } from './finished.ts'
import { print, printable, table } from './print.ts'
import { readStandardInput } from './standard-input.ts'
import { trackingOptions } from './tracking-options.ts'
import { withLineEnds } from './wrapping.ts'

const options = {
  ...trackingOptions,
  json: option(flag, { help: 'Print JSON instead of a table.', default: 'false' }),
} satisfies OptionTable

export const explainProgram: RunnableProgram<typeof options> = {
  name: 'linktool',
  borrowsFrom: 'wrapper',
  manual: `
Shows each link of a message: where it stands, what a reader sees of it, where it leads, whether the wrapper wraps
it, and why not. Takes the wrapper's options; needs no keys. Without FILE, or with -, it reads standard input.
`,
  options,
  operands: '[file]',
  start: async ({ settings, operands: [file], stopping }) => {
    const message = withLineEnds(file === undefined || file === '-' ? await readStandardInput(stopping) : read(file))
    const explained = explainMessage(message, settings)
    const head = await headOf(message)
    await print(settings.json ? JSON.stringify(asJson(head, explained)) : asTable(head, explained))
    return finished()
  },
}

function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new StartError(`${file} can't be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

const because: Readonly<Record<Reason, string>> = {
  'no-href': 'leads nowhere',
  empty: 'leads nowhere',
  fragment: 'leads to a place in the message itself',
  scheme: 'neither http nor https',
  relative: 'has no host',
  template: 'a template that the generator did not fill in',
  'tracking-host': 'leads to the tracker already',
  'opt-out': 'an attribute or mark at the link says so',
  'ambiguous-tag':
    'a stray quote, markup within the URL, or hundreds of attributes: readers disagree on where it leads',
  charset: "has characters that are not in the part's charset",
  'malformed-url': 'no URL that can be redirected to',
  'unclear-end': 'no clear end in the text',
  'dkim-signed': 'the message is signed already (--dkim-signed)',
  sealed: 'in a signed, encrypted, forwarded or reported part',
  attachment: 'in an attachment',
  'header-conflict': 'fields of the part contradict each other',
  'charset-not-ascii': "the part's charset is not based on ASCII",
  encoding: "the part's transfer encoding is unknown or broken",
  'amp-needs-https': 'AMP takes https links only, and the tracking URL is http',
  'line-too-long': 'a line would become too long, and the part is too large to be encoded for that',
  'body-too-large': 'the part is too large',
  'too-many-links': 'the message has too many links',
  'too-many-url-bytes': 'the links of the message are too long, taken together',
  'too-many-parts': 'the message has too many parts',
  'too-deep': 'parts within parts, too deep',
  'header-too-large': 'the header is too large',
  error: 'a failure while wrapping',
  comment: 'in a comment, for Outlook perhaps',
  'switched-off': 'switched off by option (--track-click, --track-text)',
  'opt-out-header': 'a header of the message says so',
  boundary: 'in a multipart whose boundary is missing or ambiguous',
  unknown: 'see what is left alone below',
}

interface Head {
  readonly subject: string
  readonly from: string
}

/** Of a header that the parser does not read (its limits are lower than the wrapper's) nothing is shown. */
async function headOf(message: Buffer): Promise<Head> {
  const end = message.indexOf('\r\n\r\n')
  const header = end === -1 ? message : message.subarray(0, end + 4)
  try {
    const { subject = '', from } = await simpleParser(header, { skipHtmlToText: true, skipTextToHtml: true })
    return { subject, from: from?.text ?? '' }
  } catch {
    return { subject: '', from: '' }
  }
}

function asTable({ subject, from }: Head, { links, report }: ExplainedMessage): string {
  const rows = links.map((link, index) => [
    String(index + 1),
    link.part,
    link.element,
    shortened(printable(link.text), 32),
    shortened(printable(link.url), 72),
    outcome(link),
  ])
  const { skipped, failure } = report
  const reasons = Object.entries(skipped).map(([reason, count]) => `${reason} ${count}`)
  return [
    `Subject: ${shortened(printable(subject), 100)}`,
    `From: ${shortened(printable(from), 100)}`,
    '',
    ...(rows.length === 0 ? ['No links.'] : [table(['#', 'PART', 'ELEMENT', 'TEXT', 'URL', 'WRAPPED'], rows)]),
    '',
    `links wrapped: ${report.links} of ${links.length}; pixels added: ${report.pixels}`,
    ...(reasons.length === 0 ? [] : [`left alone: ${reasons.join(', ')}`]),
    ...(failure === undefined ? [] : [`failure: ${failure}`]),
  ].join('\n')
}

function outcome({ wrapped, action, linkName, reason }: ExplainedLink): string {
  if (!wrapped) return `no: ${because[reason ?? 'unknown']} (${reason ?? 'unknown'})`
  return `yes: ${action}${linkName === undefined ? '' : `, named ${printable(linkName)}`}`
}

function asJson({ subject, from }: Head, { links, report }: ExplainedMessage): unknown {
  return {
    subject,
    from,
    links: links.map(({ linkName, reason, ...link }) => ({
      ...link,
      ...(linkName !== undefined && { link_name: linkName }),
      ...(reason !== undefined && { reason, because: because[reason] }),
    })),
    links_wrapped: report.links,
    pixels: report.pixels,
    left_alone: report.skipped,
    ...(report.failure !== undefined && { failure: report.failure }),
  }
}

function shortened(text: string, charsMax: number): string {
  return text.length > charsMax ? `${text.slice(0, charsMax - 1)}…` : text
}
