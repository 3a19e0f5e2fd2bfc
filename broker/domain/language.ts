/** A language filter (4.15): ranges by preference, most wanted first; "*" is any language. */
export type LanguagePreferences = readonly string[];

/**
 * Reads the `lang` parameter, in the form of Accept-Language (RFC 3282): `fr-CH,fr;q=0.9,*;q=0.5`. Equal weights keep their order, weight 0 is left out.
 * Text that is no language tag matches nothing, and so leads to any language, as the clause wants of languages that are not there.
 */
export function parseLanguages(text: string): LanguagePreferences {
  return text
    .split(',')
    .map((part) => {
      const [range = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
      const q = parameters.find((parameter) => parameter.startsWith('q='));
      const weight = q === undefined ? 1 : Number(q.slice(2));
      return { range, weight: weight >= 0 && weight <= 1 ? weight : 0 };
    })
    .filter(({ range, weight }) => range !== '' && weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .map(({ range }) => range);
}

/**
 * The key of a languageMap to answer with: the best range that has a match, where "fr" also matches "fr-CH" and "fr-CH" falls back to "fr"
 * (RFC 4647 lookup); without any match "@none", or else the first there is.
 * @returns undefined if the map is empty
 */
export function chooseLanguage(map: Readonly<Record<string, unknown>>, preferences: LanguagePreferences): string | undefined {
  const tags = Object.keys(map);
  for (const range of preferences) {
    if (range === '*') break;
    for (let wanted = range; wanted !== ''; wanted = wanted.slice(0, Math.max(0, wanted.lastIndexOf('-')))) {
      const found =
        tags.find((tag) => tag.toLowerCase() === wanted) ?? tags.find((tag) => tag.toLowerCase().startsWith(`${wanted}-`));
      if (found !== undefined) return found;
    }
  }
  return Object.hasOwn(map, '@none') ? '@none' : tags[0];
}
