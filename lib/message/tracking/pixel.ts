/** The picture that tells of an open. */

/**
 * Takes no place and says nothing: out of the flow where styles count, one dot high where they do not, with an empty
 * `alt` so that a picture that is not loaded shows no frame. The `span` keeps it apart from the author's own elements.
 *
 * @param link of characters that need no escape
 * @param fold a line end where tags can be broken over lines without a trace in the text; else nothing
 */
export function htmlPixel(link: string, fold = ''): string {
  return `<span${fold}><img src="${link}" alt="" width="1" height="1" border="0" style="display:block;position:absolute;width:1px;height:1px;margin:-1px 0 0;padding:0;border:0"${fold}></span>`
}

/** The same for AMP, where only https counts. */
export function ampPixel(link: string, fold = ''): string {
  return `<span${fold}><amp-pixel src="${link}" layout="nodisplay"${fold}></amp-pixel></span>`
}
