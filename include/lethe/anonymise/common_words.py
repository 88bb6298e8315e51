"""Names that are also words. In lower case within a sentence they are taken for the word; our own list."""

from __future__ import annotations

# Given names and surnames that Norwegian or English text uses as ordinary words.
_AMBIGUOUS = """
aas aase ali alm alma andre ane anh april are art ask august bakke bakken bakker bank bari bekk bekken ben berg berge
best bill birk bjerg bjerk bjerke bjørk bjørn black blom bo bonde borg brede brekke brekken brenden brent bror brown
brua brun bråten bråthen bu bull by bye bø bør can chan chang chase christian cook dag dagen dahl dal dalen dang day
dean deg din dina dine ditt do due dyr eg eide eik eli elle else elv elva elven emil en eng enge engen enger er erle
even falk fall far field fin fine fjeld fjell fjellet fjære flink flo ford foss fossen fox frank fred fredag frem fri
frid frisk frode frost frøy gang gard gaute gerd gjerde glad god gran grande granli grav green grei gren greve grip
gro grove gry grå gul gull gunn gutt gård gården gås ha haga hage hagen hai hall halle ham hammer han hans hard hare
haug hauge haugen hauk hav haven hei heia heid hel helge helgen helle her hild hill hjort ho hoa hol hold holm holmen
holt hope horn hovde hun hung hunt hus huse huy hval hvit hvite høst høsten høy ida idun in ine inge iris is iver jack
jan jarl jente jo joy juli juni kai kaia kaja kald kan kant khan king kirke kjær klar klara kleiv kleiva klev klok
konge kors kost krage kram kran krog krok kroken kvale kvam kvinne kvist kåre la lag lage laks lam land lande lang
lange langen le leira leiv lett li lia lid lie lien lilje lille lilly lin lind linde line linn liten liv lo long luna
lund lunde lunden lykke lyng lys løken løkka løkke løkken løv ma mai man mandag mann mark marka marken mars mat max
may mer mere mester mille min mine mitt mo moa moe moen mor moss mot my myr myra myren mæl mørk ne nes neset ness ni
noen noor nor nord nordli nova ny nygård næss odd odden odin ola one ove over page park per perle pia plass plassen
pål rabben ran rand ravn ray regn rein rev rich rik ring ris rise ro roa roar rod roe roen rolig rose rosen rot roy
rud runar rune rust rut rygg rød rør sag sand sande sander sandvik sang sara se sen seter setra shah siden sig signe
silke sin siri sissel sitt siv sjø sjøen skar skaret skarp skau ski skog skogen sky sletta slette sletten small smed
smith smitt smørgrav snill snø so sol sole solheim solvang sommer son song stad stamme stang stein sten sterk sti stig
stille stokke stor store storm strand stranda strande stranden strøm strømmen stua stubb stål ståle stø støa støen sun
sund sunde sundet sur svane svart sveen svein sven sverre sæter sør søster søt ta tage tang tangen teig teigen thor
tid tier tine ting to tom tone tor tore torp torv tove tran trine tro true tu tuft tun tunet tung tveit tåge ulv ulven
una une ung unge unn van vang vann var varde varm vei ven vera vest vi vik vika vike viken viktor vild vilde vilja
vilje vill vind vinje vinter vita viva vold voll vollen våg våge våken vår våren way west white wik will wood young å
ås åse åsen øde ørn øst øy øya øye øyen
"""
_PARTICLES = "af al av bin da das de del della den der di dos du el la le of og ten ter van von y zu"

AMBIGUOUS = frozenset(_AMBIGUOUS.split())
PARTICLES = frozenset(_PARTICLES.split())  # stand between the parts of a name, and mean it only there
