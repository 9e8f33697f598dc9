/** The value of a Content-Type field (RFC 2045 §5.1), as far as tracking needs it. */
import { isAsciiCompatible, isKnownCharset, unclearCharset } from './charset.ts'
import { trimSpace } from './header-block.ts'
import { fieldParameters, type FieldParameter } from './field-parameters.ts'

export interface ContentType {
  /** `text/html`, lower case; `text/plain` for a field that is absent or empty. */
  readonly type: string
  /** Absent when there is none, and when two readings of the field disagree on it. */
  readonly boundary?: string
  /** Lower case; `unclearCharset` where readers disagree on it and one of them may not read ASCII. */
  readonly charset?: string
  /** `format=flowed; delsp=yes` (RFC 3676): a space before a line end joins the two lines, and goes. */
  readonly delSp?: boolean
}

const comment = /\([^()]*\)/g
const boundaryParameter =
  /;[ \t\r\n\v\f]*boundary[ \t\r\n\v\f]*=[ \t\r\n\v\f]*(?:"((?:[^"\\]|\\.)*)"|([^ \t\r\n\v\f;]+))/i

/**
 * @param value unfolded; undefined when the field is absent
 *
 * Readers exist that take parentheses for comments everywhere, and such that find a parameter within the quoted value of
 * another one: where readings yield different boundaries there is none, and the multipart is left as it is.
 */
export function parseContentType(value: string | undefined): ContentType {
  if (value === undefined || value === '') return { type: 'text/plain' }
  const { first, parameters } = fieldParameters(value)
  const type = first.toLowerCase() || 'text/plain'
  const charset = charsetOf(parameters)
  const boundary = type.startsWith('multipart/') ? boundaryOf(value, parameters) : undefined
  const is = (name: string, wanted: string): boolean =>
    parameters.some(parameter => parameter.name === name && parameter.value.toLowerCase() === wanted)
  const delSp = is('format', 'flowed') && is('delsp', 'yes')
  return {
    type,
    ...(boundary !== undefined && { boundary }),
    ...(charset !== undefined && { charset }),
    ...(delSp && { delSp }),
  }
}

function boundaryOf(value: string, parameters: readonly FieldParameter[]): string | undefined {
  const own = parameters.find(({ name }) => name === 'boundary')
  if (!own || parameters.some(({ name }) => name.startsWith('boundary*'))) return undefined
  const boundary = withoutPadding(own.value)
  const isAgreed =
    boundaryIn(value) === boundary && (!value.includes('(') || boundaryIn(value.replaceAll(comment, '')) === boundary)
  return isAgreed && boundary !== '' ? boundary : undefined
}

/** The reading of who looks for the first `boundary=`, wherever it stands. */
function boundaryIn(value: string): string | undefined {
  const match = boundaryParameter.exec(value)
  return match ? withoutPadding(match[1]?.replaceAll(/\\(.)/g, '$1') ?? match[2] ?? '') : undefined
}

function withoutPadding(boundary: string): string {
  let end = boundary.length
  while (end > 0 && (boundary[end - 1] === ' ' || boundary[end - 1] === '\t')) end--
  return boundary.slice(0, end)
}

function charsetOf(parameters: readonly FieldParameter[]): string | undefined {
  const all: string[] = []
  for (const { name, value } of parameters) {
    if (name !== 'charset') continue
    const charset = trimSpace(value.includes("'") ? value.replaceAll(/^'|'$/g, '') : value).toLowerCase()
    if (charset !== '') all.push(charset)
  }
  const extended = extendedCharset(parameters)
  if (extended !== undefined) {
    if (!isKnownCharset(extended) || !isAsciiCompatible(extended, '')) return unclearCharset
    all.push(extended)
  }
  if (all.length > 1 && !all.every(name => isAsciiCompatible(name, ''))) return unclearCharset
  return all[0]
}

/** The value of `charset*` in one piece or in several (RFC 2231); undefined where there is none, empty where it is broken. */
function extendedCharset(parameters: readonly FieldParameter[]): string | undefined {
  if (!parameters.some(({ name }) => name.startsWith('charset*'))) return undefined
  const pieces = new Map(parameters.filter(({ name }) => name.startsWith('charset*')).map(p => [p.name, p.value]))
  let text = pieces.get('charset*')
  if (text === undefined) {
    text = ''
    for (let number = 0; number < pieces.size; number++)
      text += pieces.get(`charset*${number}`) ?? pieces.get(`charset*${number}*`) ?? '*'
  }
  const isEncoded = pieces.has('charset*') || pieces.has('charset*0*')
  const name = isEncoded ? /^[^']*'[^']*'([^']*)$/.exec(text)?.[1] : text
  return (name ?? '')
    .replaceAll(/%([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .toLowerCase()
}
