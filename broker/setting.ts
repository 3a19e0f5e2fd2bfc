/** One setting: its environment variable, what it does, and how its text is read. */
export interface Setting<T> {
  readonly variable: `MIZAR_${string}`;
  /** As written in the documentation; also what `--help` prints. */
  readonly about: string;
  readonly unit?: string;
  readonly fallback: T;
  /** @throws Error that says what the value must be */
  readonly parse: (text: string) => T;
}

export const text = (variable: Setting<string>['variable'], fallback: string, about: string): Setting<string> => ({
  variable,
  about,
  fallback,
  parse: (value) => value,
});

export const whole = (
  variable: Setting<number>['variable'],
  fallback: number,
  range: readonly [number, number],
  about: string,
  unit?: string,
): Setting<number> => ({
  variable,
  about,
  ...(unit ? { unit } : {}),
  fallback,
  parse: (value) => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < range[0] || number > range[1] || value.trim() === '') {
      throw new Error(`must be a whole number from ${range[0]} to ${range[1]}`);
    }
    return number;
  },
});

export const flag = (variable: Setting<boolean>['variable'], fallback: boolean, about: string): Setting<boolean> => ({
  variable,
  about,
  fallback,
  parse: (value) => {
    if (value === 'true' || value === '1') return true;
    if (value === 'false' || value === '0') return false;
    throw new Error('must be true or false');
  },
});

export const oneOf = <T extends string>(
  variable: Setting<T>['variable'],
  fallback: T,
  values: readonly T[],
  about: string,
): Setting<T> => ({
  variable,
  about: `${about}: ${values.join(', ')}`,
  fallback,
  parse: (value) => {
    if (!(values as readonly string[]).includes(value)) throw new Error(`must be one of ${values.join(', ')}`);
    return value as T;
  },
});

export const list = (
  variable: Setting<readonly string[]>['variable'],
  fallback: readonly string[],
  about: string,
): Setting<readonly string[]> => ({
  variable,
  about: `${about} (comma-separated)`,
  fallback,
  parse: (value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
});
