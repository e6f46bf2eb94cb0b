<?php
// SPDX-License-Identifier: MIT
// Work for the PHP extensions that are there, printing only what does not change from run to run.
mt_srand(5);
error_reporting(E_ALL);

function show(string $name, $value): void
{
    echo $name, ': ', is_string($value) ? $value : json_encode($value), "\n";
}

$words = [];
for ($i = 0; $i < 100000; $i++) {
    $words['w' . ($i * 7919 % 10007)][] = str_repeat(chr(65 + $i % 26), $i % 90);
}
ksort($words);
show('core', md5(serialize($words)));
show('regex', preg_match_all('/(A+)B*/', serialize($words)));
gc_collect_cycles();

if (extension_loaded('dom')) {
    $document = new DOMDocument();
    $root = $document->appendChild($document->createElement('root'));
    for ($i = 0; $i < 5000; $i++) {
        $item = $document->createElement('item', str_repeat("text $i ", $i % 50));
        $item->setAttribute('id', "i$i");
        $root->appendChild($item);
    }
    $document->formatOutput = true;
    $text = $document->saveXML();
    show('dom', [strlen($text), md5($text)]);
    $again = new DOMDocument();
    $again->loadXML($text);
    $path = new DOMXPath($again);
    show('xpath', $path->evaluate('count(//item[contains(@id, "7")])'));
    foreach (iterator_to_array($path->query('//item[position() mod 3 = 0]')) as $node) {
        $node->parentNode->removeChild($node);
    }
    show('removed', md5($again->saveXML()));
    libxml_use_internal_errors(true);
    $bad = new DOMDocument();
    $bad->loadHTML('<p>broken <b>html</p>' . str_repeat('<i>&nope;', 200));
    show('html', [count(libxml_get_errors()), md5($bad->saveHTML())]);
    libxml_clear_errors();
    if (extension_loaded('simplexml')) {
        $simple = simplexml_load_string($text);
        show('simplexml', [count($simple->item), (string)$simple->item[77]]);
    }
    if (extension_loaded('xsl')) {
        $style = new DOMDocument();
        $style->loadXML('<xsl:stylesheet version="1.0"
            xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">
            <out><xsl:for-each select="//item"><xsl:sort select="@id" order="descending"/>
            <x><xsl:value-of select="@id"/></x></xsl:for-each></out></xsl:template>
            </xsl:stylesheet>');
        $transformer = new XSLTProcessor();
        $transformer->importStylesheet($style);
        show('xsl', md5($transformer->transformToXml($again)));
    }
    if (extension_loaded('xmlreader') && extension_loaded('xmlwriter')) {
        $reader = new XMLReader();
        $reader->XML($text);
        $writer = new XMLWriter();
        $writer->openMemory();
        while ($reader->read()) {
            if ($reader->nodeType === XMLReader::ELEMENT) {
                $writer->writeElement('e', (string)$reader->getAttribute('id'));
            }
        }
        show('reader', md5($writer->flush()));
    }
    if (extension_loaded('xml')) {
        $parser = xml_parser_create();
        $depths = 0;
        xml_set_element_handler(
            $parser,
            function ($parser, $name, $attributes) use (&$depths) {
                $depths += strlen($name) + count($attributes);
            },
            function () {
            }
        );
        foreach (str_split($text, 777) as $part) {
            xml_parse($parser, $part);
        }
        xml_parse($parser, '', true);
        show('xml', $depths);
        xml_parser_free($parser);
    }
}

if (extension_loaded('mbstring')) {
    $text = str_repeat('Grüße, 世界! Привет. ', 5000);
    show('mbstring', [
        mb_strlen($text), md5(mb_strtoupper($text)), md5(mb_convert_encoding($text, 'UTF-16LE')),
        md5(mb_convert_encoding($text, 'ISO-2022-JP', 'UTF-8')), mb_strpos($text, 'При', 9000),
        count(mb_split('[,!]', $text)), md5(mb_ereg_replace('[а-я]+', '<\\0>', $text)),
        md5(mb_encode_mimeheader(mb_substr($text, 0, 200), 'UTF-8')),
    ]);
}

if (extension_loaded('gd')) {
    $image = imagecreatetruecolor(900, 700);
    for ($i = 0; $i < 500; $i++) {
        $colour = imagecolorallocate($image, mt_rand(0, 255), mt_rand(0, 255), mt_rand(0, 255));
        imagefilledellipse($image, mt_rand(0, 900), mt_rand(0, 700), mt_rand(5, 90), 40, $colour);
        imagestring($image, 5, mt_rand(0, 900), mt_rand(0, 700), "number $i", $colour);
    }
    imagefilter($image, IMG_FILTER_GAUSSIAN_BLUR);
    $rotated = imagerotate($image, 33, 0);
    $scaled = imagescale($rotated, 300, 200);
    foreach (['imagepng', 'imagejpeg', 'imagegif', 'imagebmp', 'imagewebp'] as $format) {
        if (function_exists($format)) {
            ob_start();
            $format($scaled);
            $bytes = ob_get_clean();
            $back = imagecreatefromstring($bytes);
            show($format, [md5($bytes), imagesx($back), imagecolorat($back, 100, 100)]);
        }
    }
    for ($i = 0; $i < 50; $i++) {
        $copies[] = imagecrop($image, ['x' => $i, 'y' => $i, 'width' => 300, 'height' => 200]);
    }
    unset($copies, $image);
}

if (extension_loaded('pdo_sqlite')) {
    $base = new PDO('sqlite:' . $argv[1] . '/php.db');
    $base->exec('pragma synchronous = off; drop table if exists t; create table t(a integer, b text)');
    $base->beginTransaction();
    $insert = $base->prepare('insert into t values(?, ?)');
    for ($i = 0; $i < 20000; $i++) {
        $insert->execute([$i, str_repeat("row $i ", $i % 40)]);
    }
    $base->commit();
    $base->sqliteCreateFunction('reversed', 'strrev', 1);
    $query = $base->query('select a % 10 m, count(*), sum(length(reversed(b))) from t group by m');
    show('pdo_sqlite', $query->fetchAll(PDO::FETCH_NUM));
}
if (extension_loaded('sqlite3')) {
    $base = new SQLite3(':memory:');
    $base->exec('create table t(a, b); begin');
    for ($i = 0; $i < 5000; $i++) {
        $base->exec("insert into t values($i, hex(zeroblob($i % 500)))");
    }
    $base->exec('commit');
    $base->createAggregate('joined', fn ($c, $n, $v) => $c . $v % 10, fn ($c, $n) => md5($c));
    show('sqlite3', $base->querySingle('select joined(a), sum(length(b)) from t', true));
    show('sqlite3 error', @$base->exec('nonsense'));
}

if (extension_loaded('intl')) {
    $names = ['Zoë', 'Ärger', 'apple', 'Éclair', 'øre', '日本', 'zebra'];
    foreach (['de_DE', 'sv_SE', 'fr_FR', 'ja_JP'] as $locale) {
        (new Collator($locale))->sort($names);
        $date = new IntlDateFormatter($locale, IntlDateFormatter::FULL, IntlDateFormatter::FULL, 'UTC');
        $money = new NumberFormatter($locale, NumberFormatter::CURRENCY);
        $spelled = new NumberFormatter($locale, NumberFormatter::SPELLOUT);
        show($locale, [
            $names, $date->format(1700000000), $money->formatCurrency(1234567.891, 'EUR'),
            $spelled->format(98765),
            MessageFormatter::formatMessage($locale, '{0, plural, one{#} other{# s}}', [12345]),
        ]);
    }
    show('normalized', md5(Normalizer::normalize(str_repeat('é ſ ﬁ ', 20000), Normalizer::NFKD)));
    show('latin', transliterator_transliterate('Any-Latin; Latin-ASCII', str_repeat('Привет 世界 ', 30)));
    $breaks = IntlBreakIterator::createWordInstance('en');
    $breaks->setText(str_repeat('Some words, and more. ', 1000));
    show('breaks', iterator_count($breaks->getIterator()));
    show('idn', idn_to_ascii('grüße.example'));
}

if (extension_loaded('mysqli')) {
    // There is no server: it must say so, and free what it had made.
    mysqli_report(MYSQLI_REPORT_OFF);
    for ($i = 0; $i < 50; $i++) {
        $connection = mysqli_init();
        $connection->options(MYSQLI_INIT_COMMAND, str_repeat('select 1;', $i * 100));
        @$connection->real_connect('localhost', 'u', 'p', 'd', 0, $argv[1] . '/no.sock');
    }
    show('mysqli', $connection->connect_errno);
    try {
        new PDO('mysql:unix_socket=' . $argv[1] . '/no.sock', 'u', 'p');
    } catch (PDOException $e) {
        show('pdo_mysql', $e->getCode());
    }
}

if (extension_loaded('Phar')) {
    $file = new PharData($argv[1] . '/php.tar');
    for ($i = 0; $i < 100; $i++) {
        $file["f$i"] = str_repeat("$i ", $i * 10);
    }
    show('phar', strlen($file['f99']->getContent()));
    unset($file);
    unlink($argv[1] . '/php.tar');
}
foreach (['ctype' => 'ctype_alpha', 'iconv' => 'iconv', 'posix' => 'posix_getpid'] as $name => $call) {
    show($name, function_exists($call));
}
if (function_exists('iconv')) {
    show('iconv', md5(iconv('UTF-8', 'ISO-8859-1//TRANSLIT', str_repeat('Grüße € ', 20000))));
}
if (function_exists('gettext')) {
    show('gettext', gettext('no translation'));
}
if (class_exists('FFI') && ini_get('ffi.enable') !== '0') {
    $libc = FFI::cdef('void *malloc(size_t); void free(void *); void *realloc(void *, size_t);');
    for ($i = 1; $i < 1000; $i++) {
        $libc->free($libc->realloc($libc->malloc($i), $i * 300));
    }
    show('ffi', 'done');
}
