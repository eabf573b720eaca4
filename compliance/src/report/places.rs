//! Places on paper: what they are called, and where their middle is drawn.
//!
//! Names are of countries or regions: a mark says where shards lie, and states nothing on whose territory it is. A Chinese report
//! draws no map at all but a grid of tiles.

use domicile_types::Place;

use super::text::Language;

/// What a place is called, with its code.
pub fn name(place: &Place, language: Language) -> String {
    let known = place.country().and_then(|country| find(country.as_str()));
    match (known, language) {
        (None, Language::En) if *place == Place::Unknown => "unknown".to_owned(),
        (None, Language::Zh) if *place == Place::Unknown => "未知".to_owned(),
        (None, _) => place.to_string(),
        (Some((_, _, _, name, _)), Language::En) => format!("{name} ({place})"),
        (Some((_, _, _, _, name)), Language::Zh) => format!("{name}（{place}）"),
    }
}

/// Latitude and longitude of its middle, in degrees. `None`: it is not in the table, or unknown.
#[must_use]
pub fn middle(place: &Place) -> Option<(f64, f64)> {
    let (_, latitude, longitude, ..) = *find(place.country()?.as_str())?;
    Some((latitude, longitude))
}

fn find(code: &str) -> Option<&'static Row> {
    PLACES.get(PLACES.binary_search_by(|row| row.0.cmp(code)).ok()?)
}

type Row = (&'static str, f64, f64, &'static str, &'static str);

/// Code, latitude and longitude of the middle in degrees, name in English and in Chinese. Sorted by code.
const PLACES: [Row; 159] = [
    ("AD", 42.5, 1.5, "Andorra", "安道尔"),
    ("AE", 24.0, 54.0, "United Arab Emirates", "阿拉伯联合酋长国"),
    ("AF", 34.0, 66.0, "Afghanistan", "阿富汗"),
    ("AG", 17.0, -62.0, "Antigua & Barbuda", "安提瓜和巴布达"),
    ("AL", 41.0, 20.0, "Albania", "阿尔巴尼亚"),
    ("AM", 40.0, 45.0, "Armenia", "亚美尼亚"),
    ("AO", -12.0, 18.0, "Angola", "安哥拉"),
    ("AR", -38.0, -64.0, "Argentina", "阿根廷"),
    ("AT", 47.5, 14.0, "Austria", "奥地利"),
    ("AU", -25.0, 134.0, "Australia", "澳大利亚"),
    ("AZ", 40.0, 48.0, "Azerbaijan", "阿塞拜疆"),
    ("BA", 44.0, 18.0, "Bosnia and Herzegovina", "波黑"),
    ("BB", 13.0, -59.5, "Barbados", "巴巴多斯"),
    ("BD", 24.0, 90.0, "Bangladesh", "孟加拉国"),
    ("BE", 50.6, 4.6, "Belgium", "比利时"),
    ("BG", 42.7, 25.5, "Bulgaria", "保加利亚"),
    ("BH", 26.0, 50.5, "Bahrain", "巴林"),
    ("BN", 4.5, 114.7, "Brunei", "文莱"),
    ("BO", -17.0, -65.0, "Bolivia", "玻利维亚"),
    ("BR", -10.0, -53.0, "Brazil", "巴西"),
    ("BT", 27.4, 90.4, "Bhutan", "不丹"),
    ("BW", -22.0, 24.0, "Botswana", "博茨瓦纳"),
    ("BY", 53.5, 28.0, "Belarus", "白俄罗斯"),
    ("BZ", 17.0, -88.7, "Belize", "伯利兹"),
    ("CA", 60.0, -96.0, "Canada", "加拿大"),
    ("CD", -3.0, 24.0, "Congo (Kinshasa)", "刚果（金）"),
    ("CG", -1.0, 15.0, "Congo (Brazzaville)", "刚果（布）"),
    ("CH", 46.8, 8.2, "Switzerland", "瑞士"),
    ("CI", 7.5, -5.5, "Côte d'Ivoire", "科特迪瓦"),
    ("CL", -35.0, -71.0, "Chile", "智利"),
    ("CM", 6.0, 12.5, "Cameroon", "喀麦隆"),
    ("CN", 36.0, 104.0, "China", "中国"),
    ("CO", 4.0, -73.0, "Colombia", "哥伦比亚"),
    ("CR", 10.0, -84.0, "Costa Rica", "哥斯达黎加"),
    ("CU", 21.5, -79.0, "Cuba", "古巴"),
    ("CY", 35.0, 33.0, "Cyprus", "塞浦路斯"),
    ("CZ", 49.8, 15.5, "Czechia", "捷克"),
    ("DE", 51.2, 10.4, "Germany", "德国"),
    ("DJ", 11.8, 42.6, "Djibouti", "吉布提"),
    ("DK", 56.0, 10.0, "Denmark", "丹麦"),
    ("DO", 18.8, -70.4, "Dominican Republic", "多米尼加共和国"),
    ("DZ", 28.0, 2.6, "Algeria", "阿尔及利亚"),
    ("EC", -1.5, -80.0, "Ecuador", "厄瓜多尔"),
    ("EE", 58.7, 25.5, "Estonia", "爱沙尼亚"),
    ("EG", 26.5, 30.0, "Egypt", "埃及"),
    ("ES", 40.0, -4.0, "Spain", "西班牙"),
    ("ET", 9.0, 39.5, "Ethiopia", "埃塞俄比亚"),
    ("FI", 64.5, 26.0, "Finland", "芬兰"),
    ("FJ", -18.0, 178.0, "Fiji", "斐济"),
    ("FR", 46.6, 2.4, "France", "法国"),
    ("GA", -0.7, 11.7, "Gabon", "加蓬"),
    ("GB", 54.5, -3.0, "United Kingdom", "英国"),
    ("GE", 42.2, 43.5, "Georgia", "格鲁吉亚"),
    ("GH", 8.0, -1.2, "Ghana", "加纳"),
    ("GL", 72.0, -40.0, "Greenland", "格陵兰"),
    ("GR", 39.0, 23.0, "Greece", "希腊"),
    ("GT", 15.6, -90.3, "Guatemala", "危地马拉"),
    ("GU", 13.4, 144.8, "Guam", "关岛"),
    ("HK", 22.35, 114.15, "Hong Kong", "香港"),
    ("HN", 14.8, -86.6, "Honduras", "洪都拉斯"),
    ("HR", 45.0, 16.4, "Croatia", "克罗地亚"),
    ("HT", 19.0, -72.7, "Haiti", "海地"),
    ("HU", 47.2, 19.4, "Hungary", "匈牙利"),
    ("ID", -2.5, 118.0, "Indonesia", "印度尼西亚"),
    ("IE", 53.3, -8.0, "Ireland", "爱尔兰"),
    ("IL", 31.4, 35.0, "Israel", "以色列"),
    ("IN", 22.0, 79.5, "India", "印度"),
    ("IQ", 33.0, 43.7, "Iraq", "伊拉克"),
    ("IR", 32.5, 54.3, "Iran", "伊朗"),
    ("IS", 65.0, -18.7, "Iceland", "冰岛"),
    ("IT", 42.5, 12.5, "Italy", "意大利"),
    ("JM", 18.1, -77.3, "Jamaica", "牙买加"),
    ("JO", 31.2, 36.5, "Jordan", "约旦"),
    ("JP", 36.5, 137.5, "Japan", "日本"),
    ("KE", 0.5, 37.9, "Kenya", "肯尼亚"),
    ("KG", 41.5, 74.6, "Kyrgyzstan", "吉尔吉斯斯坦"),
    ("KH", 12.7, 105.0, "Cambodia", "柬埔寨"),
    ("KP", 40.2, 127.2, "North Korea", "朝鲜"),
    ("KR", 36.4, 127.8, "South Korea", "韩国"),
    ("KW", 29.3, 47.6, "Kuwait", "科威特"),
    ("KZ", 48.0, 67.0, "Kazakhstan", "哈萨克斯坦"),
    ("LA", 18.4, 104.0, "Laos", "老挝"),
    ("LB", 33.9, 35.9, "Lebanon", "黎巴嫩"),
    ("LI", 47.15, 9.55, "Liechtenstein", "列支敦士登"),
    ("LK", 7.7, 80.7, "Sri Lanka", "斯里兰卡"),
    ("LT", 55.3, 23.9, "Lithuania", "立陶宛"),
    ("LU", 49.8, 6.1, "Luxembourg", "卢森堡"),
    ("LV", 56.9, 24.9, "Latvia", "拉脱维亚"),
    ("LY", 27.0, 18.0, "Libya", "利比亚"),
    ("MA", 31.0, -7.0, "Morocco", "摩洛哥"),
    ("MC", 43.74, 7.41, "Monaco", "摩纳哥"),
    ("MD", 47.2, 28.5, "Moldova", "摩尔多瓦"),
    ("ME", 42.8, 19.2, "Montenegro", "黑山"),
    ("MG", -19.4, 46.7, "Madagascar", "马达加斯加"),
    ("MK", 41.6, 21.7, "North Macedonia", "北马其顿"),
    ("MM", 21.0, 96.5, "Myanmar", "缅甸"),
    ("MN", 46.9, 103.8, "Mongolia", "蒙古"),
    ("MO", 22.17, 113.55, "Macao", "澳门"),
    ("MT", 35.9, 14.4, "Malta", "马耳他"),
    ("MU", -20.2, 57.6, "Mauritius", "毛里求斯"),
    ("MV", 3.2, 73.2, "Maldives", "马尔代夫"),
    ("MX", 23.9, -102.5, "Mexico", "墨西哥"),
    ("MY", 3.8, 109.5, "Malaysia", "马来西亚"),
    ("MZ", -17.3, 35.5, "Mozambique", "莫桑比克"),
    ("NA", -22.1, 17.2, "Namibia", "纳米比亚"),
    ("NE", 17.4, 9.4, "Niger", "尼日尔"),
    ("NG", 9.6, 8.1, "Nigeria", "尼日利亚"),
    ("NI", 12.8, -85.0, "Nicaragua", "尼加拉瓜"),
    ("NL", 52.2, 5.5, "Netherlands", "荷兰"),
    ("NO", 64.5, 15.0, "Norway", "挪威"),
    ("NP", 28.2, 83.9, "Nepal", "尼泊尔"),
    ("NZ", -41.5, 172.5, "New Zealand", "新西兰"),
    ("OM", 20.6, 56.1, "Oman", "阿曼"),
    ("PA", 8.5, -80.1, "Panama", "巴拿马"),
    ("PE", -9.2, -74.4, "Peru", "秘鲁"),
    ("PG", -6.5, 145.0, "Papua New Guinea", "巴布亚新几内亚"),
    ("PH", 12.0, 122.8, "Philippines", "菲律宾"),
    ("PK", 30.0, 69.4, "Pakistan", "巴基斯坦"),
    ("PL", 52.1, 19.4, "Poland", "波兰"),
    ("PR", 18.2, -66.4, "Puerto Rico", "波多黎各"),
    ("PS", 31.9, 35.2, "Palestine", "巴勒斯坦"),
    ("PT", 39.6, -8.5, "Portugal", "葡萄牙"),
    ("PY", -23.2, -58.4, "Paraguay", "巴拉圭"),
    ("QA", 25.3, 51.2, "Qatar", "卡塔尔"),
    ("RO", 45.9, 25.0, "Romania", "罗马尼亚"),
    ("RS", 44.0, 20.8, "Serbia", "塞尔维亚"),
    ("RU", 62.0, 95.0, "Russia", "俄罗斯"),
    ("RW", -2.0, 29.9, "Rwanda", "卢旺达"),
    ("SA", 24.0, 44.5, "Saudi Arabia", "沙特阿拉伯"),
    ("SD", 16.0, 30.0, "Sudan", "苏丹"),
    ("SE", 62.8, 16.7, "Sweden", "瑞典"),
    ("SG", 1.35, 103.8, "Singapore", "新加坡"),
    ("SI", 46.1, 14.8, "Slovenia", "斯洛文尼亚"),
    ("SK", 48.7, 19.5, "Slovakia", "斯洛伐克"),
    ("SM", 43.94, 12.46, "San Marino", "圣马力诺"),
    ("SN", 14.4, -14.5, "Senegal", "塞内加尔"),
    ("SO", 4.8, 45.7, "Somalia", "索马里"),
    ("SV", 13.7, -88.9, "El Salvador", "萨尔瓦多"),
    ("SY", 35.0, 38.5, "Syria", "叙利亚"),
    ("TH", 15.1, 101.0, "Thailand", "泰国"),
    ("TJ", 38.5, 71.0, "Tajikistan", "塔吉克斯坦"),
    ("TM", 39.1, 59.4, "Turkmenistan", "土库曼斯坦"),
    ("TN", 34.1, 9.6, "Tunisia", "突尼斯"),
    ("TR", 39.1, 35.2, "Türkiye", "土耳其"),
    ("TT", 10.5, -61.3, "Trinidad & Tobago", "特立尼达和多巴哥"),
    ("TW", 23.75, 121.0, "Taiwan", "台湾"),
    ("TZ", -6.3, 34.8, "Tanzania", "坦桑尼亚"),
    ("UA", 49.0, 31.4, "Ukraine", "乌克兰"),
    ("UG", 1.3, 32.4, "Uganda", "乌干达"),
    ("US", 45.0, -112.0, "United States", "美国"),
    ("UY", -32.8, -56.0, "Uruguay", "乌拉圭"),
    ("UZ", 41.8, 63.1, "Uzbekistan", "乌兹别克斯坦"),
    ("VA", 41.9, 12.45, "Vatican City", "梵蒂冈"),
    ("VE", 7.1, -66.2, "Venezuela", "委内瑞拉"),
    ("VN", 16.6, 106.3, "Vietnam", "越南"),
    ("YE", 15.9, 47.6, "Yemen", "也门"),
    ("ZA", -29.0, 25.0, "South Africa", "南非"),
    ("ZM", -13.5, 27.8, "Zambia", "赞比亚"),
    ("ZW", -19.0, 29.9, "Zimbabwe", "津巴布韦"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_named_in_both_languages() {
        assert!(PLACES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (code, latitude, longitude, english, chinese) in PLACES {
            assert!(latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && !english.is_empty(), "{code}");
            assert!(chinese.chars().all(|c| !c.is_ascii()), "{code}: {chinese}");
        }
    }

    #[test]
    fn a_subdivision_is_named_by_its_country_and_its_own_code() {
        let quebec = Place::parse("CA-QC").unwrap();
        assert_eq!(name(&quebec, Language::En), "Canada (CA-QC)");
        assert_eq!(name(&quebec, Language::Zh), "加拿大（CA-QC）");
        assert_eq!(name(&Place::Unknown, Language::Zh), "未知");
    }
}
