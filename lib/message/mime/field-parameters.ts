/** Parameters of a header field such as Content-Type (RFC 2045 §5.1). */
import { trimSpace } from './header-block.ts'

export interface FieldParameter {
  /** Lower case; with the `*` and numbers of RFC 2231 where they are used. */
  readonly name: string
  /** Quotes and backslashes of a quoted value removed. */
  readonly value: string
}

export interface FieldValue {
  /** What stands before the first semicolon. */
  readonly first: string
  /** In their order. */
  readonly parameters: readonly FieldParameter[]
}

const spaces = ' \t\r\n\v\f'

/**
 * Comments count as white space, outside of quoted values; so does what follows a value up to the next semicolon.
 *
 * @param value unfolded
 */
export function fieldParameters(value: string): FieldValue {
  const parameters: FieldParameter[] = []
  let at = 0
  const skipComment = (): void => {
    let depth = 0
    do {
      if (value[at] === '\\') at++
      else if (value[at] === '(') depth++
      else if (value[at] === ')') depth--
      at++
    } while (depth > 0 && at < value.length)
  }
  const readUntil = (ends: string): string => {
    let text = ''
    let from = at
    while (at < value.length && !ends.includes(value.charAt(at))) {
      if (value[at] === '(') {
        text += value.slice(from, at)
        skipComment()
        from = at
      } else at++
    }
    return text + value.slice(from, at)
  }
  const readQuoted = (): string => {
    let text = ''
    for (at++; at < value.length && value[at] !== '"'; at++) {
      if (value[at] === '\\' && at + 1 < value.length) at++
      text += value.charAt(at)
    }
    return text
  }
  const skipSpaces = (): void => {
    while (at < value.length && (value[at] === '(' || spaces.includes(value.charAt(at)))) {
      if (value[at] === '(') skipComment()
      else at++
    }
  }
  const first = trimSpace(readUntil(';'))
  while (at < value.length) {
    at++
    const name = trimSpace(readUntil('=;')).toLowerCase()
    if (value[at] !== '=') continue
    at++
    skipSpaces()
    parameters.push({ name, value: value[at] === '"' ? readQuoted() : readUntil(`;${spaces}`) })
    readUntil(';')
  }
  return { first, parameters }
}
