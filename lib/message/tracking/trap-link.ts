/** A link that no human sees, and the machines that follow every link do. */
import type { HtmlAttribute } from '../html/scan-html.ts'

/** Names, lower case, of the attributes that `isTrapLink` looks at. */
export const trapAttributes = ['aria-hidden', 'tabindex']

/**
 * Shows nothing and takes no place, also where styles do not count, for it is empty; neither the keyboard nor a reader
 * of screens comes to it.
 *
 * @param link of characters that need no escape
 * @param fold a line end where tags can be broken over lines; else nothing
 */
export function trapLink(link: string, fold = ''): string {
  return `<a${fold || ' '}href="${link}" aria-hidden="true" tabindex="-1" style="display:none"${fold}></a>`
}

/** Whether a link to the tracking host is such a one. */
export function isTrapLink(attributes: readonly HtmlAttribute[]): boolean {
  const valueOf = (name: string): string | undefined => attributes.find(attribute => attribute.name === name)?.value
  return valueOf('aria-hidden') === 'true' && valueOf('tabindex') === '-1'
}
