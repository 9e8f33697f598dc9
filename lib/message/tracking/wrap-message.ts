/**
 * Adds tracking to a message as it flows through.
 *
 * - Push-driven: `write` takes the message in any chunks and hands back what may go on; the bytes that come out do not
 *   depend on how the message was cut. Slices of the input pass through uncopied, so a chunk must not be written over
 *   afterwards. Only headers and the texts that may change are held back, up to the limits.
 * - Whatever goes wrong inside, no byte of the message is lost or changed: what was not yet handed on passes through as
 *   it came, and the report says why.
 * - Input and output are the message as in SMTP's DATA after dot-unstuffing, with CRLF line ends.
 */
import { ByteWindow } from '../mime/byte-window.ts'
import { DelimiterSearch, type FoundDelimiter } from '../mime/delimiter-search.ts'
import { HeaderBlock } from '../mime/header-block.ts'
import { defaultLimits, type WrapLimits } from './limits.ts'
import { urlHost } from './link-policy.ts'
import { applyOptOutHeaders, isOptOutHeader } from './opt-out-headers.ts'
import { partKind } from './part-kind.ts'
import { identityLines, listUnsubscribeLines, stampPlace } from './stamp.ts'
import type { TrackingPlan, TrackingSwitches } from './tracking-plan.ts'
import { wrapPart, type TextPart } from './wrap-part.ts'
import { WrapTally, type WrapReport } from './wrap-report.ts'

type Mode =
  /** A header block is being collected. */
  | 'header'
  /** The body of a text part is being collected. */
  | 'text'
  /** Bytes pass; a delimiter is looked for. */
  | 'between'
  /** The rest passes. */
  | 'rest'

/** The bytes from `start` to `end` give way to `bytes`. */
interface ByteEdit {
  readonly start: number
  readonly end: number
  readonly bytes: Buffer
}

/** The text part whose body is being collected. */
interface OpenText extends Omit<TextPart, 'body' | 'endsMessage'> {
  readonly headerStart: number
  readonly bodyStart: number
  /** Changes of its header that are due in any case. */
  readonly headerEdits: readonly ByteEdit[]
}

const emptyLine = Buffer.from('\r\n\r\n')
const nothing = Buffer.alloc(0)

export class MessageWrapper {
  readonly #planFor: (header: HeaderBlock) => TrackingPlan
  readonly #limits: WrapLimits
  readonly #tally = new WrapTally()
  readonly #window = new ByteWindow()
  readonly #search = new DelimiterSearch(this.#window)
  #header: HeaderBlock | undefined
  #plan: TrackingPlan | undefined
  #switches: TrackingSwitches = { trackOpen: false, trackInitialOpen: false, trackClick: false, trackText: false }
  #mode: Mode = 'header'
  /** Where the header block or passing bytes that are looked at begin; what lies before may go on. */
  #unit = 0
  /** No empty line before it. */
  #headerScan = 0
  #text: OpenText | undefined
  #parts = 0
  #hasPixels = false
  /** Up to here the window was handed on. */
  #handed = 0
  #out: Buffer[] = []

  /**
   * @param planFor called once, when the message's header is complete; never for one of more than `headerBytesMax`,
   * which passes without a stamp
   */
  constructor(planFor: (header: HeaderBlock) => TrackingPlan, limits: WrapLimits = defaultLimits) {
    this.#planFor = planFor
    this.#limits = limits
  }

  /** The message's header as it came in; undefined before it is complete. */
  get header(): HeaderBlock | undefined {
    return this.#header
  }

  /** What was done so far. */
  get report(): WrapReport {
    return this.#tally
  }

  /** Takes the next bytes; returns those that may go on. */
  write(chunk: Buffer): Buffer[] {
    this.#window.append(chunk)
    return this.#advance(false)
  }

  /** Takes the end of the message; returns what was held back. */
  end(): Buffer[] {
    return this.#advance(true)
  }

  #advance(final: boolean): Buffer[] {
    try {
      while (this.#step(final)) continue
    } catch (error) {
      this.#giveUp(error)
    }
    const passed = final || this.#mode === 'rest' ? this.#window.end : this.#unit
    this.#handOn(passed)
    this.#window.dropBefore(passed)
    const out = this.#out
    this.#out = []
    return out
  }

  /** Does what can be done with the bytes at hand; false when more are needed. */
  #step(final: boolean): boolean {
    switch (this.#mode) {
      case 'header':
        return this.#collectHeader(final)
      case 'text':
        return this.#collectText(final)
      case 'between':
        return this.#passBetween(final)
      case 'rest':
      default:
        return false
    }
  }

  #collectHeader(final: boolean): boolean {
    const window = this.#window
    const start = this.#unit
    let headerEnd = start
    let bodyStart: number | undefined = start + 2
    if (window.text(start, start + 2) !== '\r\n') {
      const empty = window.indexOf(emptyLine, this.#headerScan)
      headerEnd = empty === -1 ? window.end : empty + 2
      bodyStart = empty === -1 ? undefined : empty + 4
      this.#headerScan = Math.max(this.#headerScan, window.end - 3)
    }
    if (this.#mayHoldDelimiter(start, headerEnd, bodyStart !== undefined)) {
      const delimiter = this.#search.next(final)
      if (delimiter && delimiter.start < headerEnd) {
        // The part has no body.
        if (delimiter.start - start > this.#limits.headerBytesMax) this.#tally.skip('header-too-large')
        this.#passDelimiter(delimiter)
        return true
      }
    }
    const isTop = this.#header === undefined
    // Of a block that is not complete, only what can be no line end and no delimiter counts.
    const known =
      bodyStart !== undefined || final ? headerEnd : isTop ? headerEnd - 1 : Math.min(headerEnd - 1, this.#search.clear)
    if (known - start > this.#limits.headerBytesMax) {
      this.#tally.skip('header-too-large')
      this.#mode = isTop ? 'rest' : 'between'
      this.#search.lookFrom(start)
      return true
    }
    if (bodyStart === undefined && !final) return false
    const header = new HeaderBlock(window.slice(start, headerEnd))
    if (isTop) this.#beginMessage(header, start, bodyStart ?? headerEnd)
    else this.#beginPart(header, start, bodyStart ?? headerEnd, [])
    return true
  }

  #mayHoldDelimiter(start: number, headerEnd: number, isComplete: boolean): boolean {
    if (this.#search.delimiters.depth === 0) return false
    if (!isComplete) return true
    const block = this.#window.slice(start, headerEnd)
    return block.includes('\r\n--') || block.subarray(0, 2).equals(dashes)
  }

  #beginMessage(header: HeaderBlock, start: number, bodyStart: number): void {
    this.#header = header
    const plan = this.#planFor(header)
    this.#plan = plan
    const optOuts = applyOptOutHeaders(header, plan)
    const isSigned = plan.dkimSigned === 'pass' && header.has('dkim-signature')
    const edits: ByteEdit[] = []
    // With all tracking switched off the message stays as it is; and a signature may cover the opt-out headers.
    const isWanted = plan.trackOpen || plan.trackInitialOpen || plan.trackClick || plan.trackText
    if (optOuts.found && isWanted && !isSigned) {
      for (const field of header.fields) {
        if (isOptOutHeader(field.name))
          edits.push({ start: start + field.start, end: start + field.end, bytes: nothing })
      }
    }
    const stamped = header.text === '' ? '' : this.#stampedLines(header, plan, isSigned)
    const place = start + stampPlace(header)
    if (stamped !== '') insert(edits, { start: place, end: place, bytes: Buffer.from(stamped, 'latin1') })
    this.#switches = optOuts.switches
    const { trackOpen, trackInitialOpen, trackClick, trackText } = optOuts.switches
    const isTracked = trackOpen || trackInitialOpen || trackClick || trackText
    const isTooLong = lineCount(header.text) > this.#limits.headerLinesMax
    if (isTracked && isTooLong) this.#tally.skip('header-too-large')
    else if (isTracked && isSigned) this.#tally.skip('dkim-signed')
    if (isTracked && !isSigned && !isTooLong) {
      this.#beginPart(header, start, bodyStart, edits)
      return
    }
    this.#handOnEdited(edits)
    this.#mode = 'rest'
  }

  #stampedLines(header: HeaderBlock, plan: TrackingPlan, isSigned: boolean): string {
    const lines = identityLines(header, plan)
    // A signature may cover that there is no List-Unsubscribe.
    if (isSigned) return lines
    try {
      return lines + listUnsubscribeLines(header, plan)
    } catch (error) {
      // It must not cost the message its id.
      this.#fail(error)
      return lines
    }
  }

  #beginPart(header: HeaderBlock, start: number, bodyStart: number, headerEdits: readonly ByteEdit[]): void {
    const part = partKind(header)
    this.#search.lookFrom(bodyStart)
    if (part.kind === 'html' || part.kind === 'amp' || (part.kind === 'text' && this.#switches.trackText)) {
      const { kind, charset, delSp } = part
      this.#text = { kind, charset, delSp, header, headerStart: start, bodyStart, headerEdits }
      this.#mode = 'text'
      return
    }
    this.#handOnEdited(headerEdits)
    if (part.kind === 'sealed' || part.kind === 'attachment' || part.kind === 'header-conflict')
      this.#tally.skip(part.kind)
    if (part.kind === 'container') {
      if (this.#search.delimiters.depth < this.#limits.depthMax) this.#search.delimiters.open(part.boundary)
      else this.#tally.skip('too-deep')
    }
    this.#passFrom(bodyStart)
  }

  #collectText(final: boolean): boolean {
    const text = this.#text
    if (!text) throw new Error('no text part is open')
    const delimiter = this.#search.next(final)
    const bodyEnd = delimiter?.start ?? (final ? this.#window.end : this.#search.clear)
    const isTooLarge = bodyEnd - text.bodyStart > this.#limits.bodyBytesMax
    if (!delimiter && !final && !isTooLarge) return false
    if (isTooLarge) {
      this.#tally.skip('body-too-large')
      this.#handOnEdited(text.headerEdits)
    } else this.#handOnText(text, bodyEnd, final && !delimiter)
    this.#text = undefined
    if (delimiter) this.#passDelimiter(delimiter)
    else this.#passFrom(bodyEnd)
    return true
  }

  #handOnText(text: OpenText, bodyEnd: number, endsMessage: boolean): void {
    const plan = this.#plan
    if (!plan) throw new Error('no plan was made')
    const tally = new WrapTally()
    const changed = wrapPart(
      { ...text, body: this.#window.slice(text.bodyStart, bodyEnd), endsMessage },
      {
        switches: this.#switches,
        linkFor: plan.linkFor,
        trackingUrl: plan.trackingUrl,
        trackingHost: urlHost(plan.trackingUrl),
        withPixels: !this.#hasPixels,
        // The one address of the tracker that answers everybody with something.
        trapUrl: plan.honeypotLink ? `${plan.trackingUrl}/robots.txt` : undefined,
        reencodedBytesMax: this.#limits.reencodedBytesMax,
        linksMax: this.#limits.linksMax - this.#tally.links,
        urlBytesMax: this.#limits.urlBytesMax - this.#tally.urlBytes,
      },
      tally,
    )
    this.#tally.add(tally)
    if ((tally.pixels > 0 || tally.keptPixels) && text.kind === 'html') this.#hasPixels = true
    if (!changed) {
      this.#handOnEdited(text.headerEdits)
      return
    }
    const edits = [...text.headerEdits]
    for (const edit of changed.encoding ? encodingEdits(text, changed.encoding) : []) insert(edits, edit)
    edits.push({ start: text.bodyStart, end: bodyEnd, bytes: changed.bytes })
    this.#handOnEdited(edits)
  }

  #passBetween(final: boolean): boolean {
    const delimiter = this.#search.next(final)
    this.#unit = delimiter?.start ?? this.#search.clear
    if (!delimiter) return false
    this.#passDelimiter(delimiter)
    return true
  }

  #passDelimiter({ level, close, end }: FoundDelimiter): void {
    this.#search.delimiters.closeFrom(close ? level : level + 1)
    this.#search.lookFrom(end)
    if (close) {
      this.#passFrom(end)
      return
    }
    this.#parts++
    this.#unit = end
    this.#headerScan = end
    this.#mode = 'header'
    if (this.#parts <= this.#limits.partsMax) return
    this.#tally.skip('too-many-parts')
    this.#mode = 'rest'
  }

  #passFrom(place: number): void {
    this.#unit = place
    this.#mode = this.#search.delimiters.depth === 0 ? 'rest' : 'between'
  }

  /** Hands on what is held, up to a place. */
  #handOn(place: number): void {
    if (place <= this.#handed) return
    this.#out.push(this.#window.slice(this.#handed, place))
    this.#handed = place
  }

  #handOnEdited(edits: readonly ByteEdit[]): void {
    for (const { start, end, bytes } of edits) {
      this.#handOn(start)
      if (bytes.length > 0) this.#out.push(bytes)
      this.#handed = end
    }
  }

  #fail(error: unknown): void {
    this.#tally.skip('error')
    this.#tally.failure = error instanceof Error ? error.message : String(error)
  }

  /** The rest passes through. What was due at the message's header in any case still happens. */
  #giveUp(error: unknown): void {
    this.#fail(error)
    if (this.#text) this.#handOnEdited(this.#text.headerEdits)
    this.#text = undefined
    this.#mode = 'rest'
  }
}

const dashes = Buffer.from('--')

/** Keeps the order of places. */
function insert(edits: ByteEdit[], edit: ByteEdit): void {
  const at = edits.findIndex(other => other.start >= edit.start)
  edits.splice(at === -1 ? edits.length : at, 0, edit)
}

/** The field gives way to one of the new encoding; further ones of its name, which said the same, go. */
function encodingEdits({ header, headerStart, bodyStart }: OpenText, encoding: string): ByteEdit[] {
  const bytes = Buffer.from(`Content-Transfer-Encoding: ${encoding}\r\n`, 'latin1')
  const fields = header.fields.filter(({ name }) => name === 'content-transfer-encoding')
  if (fields.length > 0)
    return fields.map(({ start, end }, index) => ({
      start: headerStart + start,
      end: headerStart + end,
      bytes: index === 0 ? bytes : nothing,
    }))
  const end = headerStart + header.text.length
  return [{ start: end, end: Math.min(end, bodyStart), bytes }]
}

function lineCount(text: string): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines++
  return lines
}
